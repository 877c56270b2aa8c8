// Vercel's AI SDK against the demonstration model.
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { apiKey, baseURL, finish, idle, test } from './helpers.mjs';

const { data: [{ id }] } = await (await fetch(`${baseURL}/models`)).json();
const models = {
  '@ai-sdk/openai-compatible':
    createOpenAICompatible({ name: 'mach', baseURL, apiKey, includeUsage: true }).chatModel(id),
  '@ai-sdk/openai .chat()': createOpenAI({ baseURL, apiKey }).chat(id),
};

for (const [name, model] of Object.entries(models)) {
  const options = { model, maxRetries: 0, temperature: 0, maxOutputTokens: 60 };

  await test(`${name}: a stream says the same as a whole answer`, async () => {
    const prompt = 'What does "flame" mean?';
    const whole = await generateText({ ...options, prompt });
    assert.ok(whole.text.length > 0);
    const result = streamText({ ...options, prompt });
    let text = '';
    for await (const part of result.textStream) text += part;
    assert.equal(text, whole.text);
    assert.deepEqual((await result.usage).outputTokens, whole.usage.outputTokens);
  });

  await test(`${name}: call, result, answer`, async () => {
    const asked = [];
    const result = await generateText({
      ...options, prompt: 'Wake me in 77 minutes.', stopWhen: stepCountIs(2),
      tools: {
        set_timer: tool({
          description: 'Start a timer.',
          inputSchema: z.object({ minutes: z.number().int() }),
          execute: async (input) => {
            asked.push(input);
            return 'started';
          },
        }),
      },
    });
    assert.equal(asked.length, 1);
    assert.equal(result.steps.length, 2);
    assert.equal(result.steps[0].finishReason, 'tool-calls');
  });

  await test(`${name}: an abort frees the server`, async () => {
    const controller = new AbortController();
    const result = streamText({
      ...options, prompt: 'Tell me all about herons.', maxOutputTokens: 4000,
      abortSignal: controller.signal, onError: () => {},
    });
    for await (const part of result.fullStream) {
      if (part.type === 'text-delta') controller.abort();
    }
    await idle();
  });
}

finish();
