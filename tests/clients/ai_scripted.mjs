// Vercel's AI SDK, through both of its providers for this protocol, against the scripted server.
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { apiKey, baseURL, finish, idle, rejects, test } from './helpers.mjs';

const compatible = createOpenAICompatible({ name: 'mach', baseURL, apiKey, includeUsage: true });
const openai = createOpenAI({ baseURL, apiKey });
const models = {
  '@ai-sdk/openai-compatible': compatible.chatModel('scripted'),
  '@ai-sdk/openai .chat()': openai.chat('scripted'),
};

for (const [name, model] of Object.entries(models)) {
  const options = { model, maxRetries: 0 };

  await test(`${name}: whole`, async () => {
    const { text, finishReason, usage } = await generateText({ ...options, prompt: 'hi' });
    assert.equal(text, 'Hello there!');
    assert.equal(finishReason, 'stop');
    assert.equal(usage.outputTokens, 12);
  });

  await test(`${name}: streamed`, async () => {
    const result = streamText({ ...options, prompt: 'characters' });
    let text = '';
    for await (const part of result.textStream) text += part;
    assert.equal(text, 'é€😀 👩‍👩‍👧 नि');
    assert.equal(await result.finishReason, 'stop');
    assert.ok((await result.usage).outputTokens > 0);
  });

  const tools = (asked) => ({
    get_weather: tool({
      description: 'The weather of a city',
      inputSchema: z.object({ city: z.string(), days: z.number().int().optional() }),
      execute: async (input) => {
        asked.push(input);
        return '21 degrees';
      },
    }),
  });

  await test(`${name}: call, result, answer`, async () => {
    const asked = [];
    const result = await generateText({
      ...options, prompt: 'The weather?', tools: tools(asked), stopWhen: stepCountIs(3),
    });
    assert.deepEqual(asked, [{ city: 'Bern' }]);
    assert.equal(result.text, 'It is 21 degrees in Bern.');
    assert.deepEqual(result.steps.map((step) => step.finishReason), ['tool-calls', 'stop']);
  });

  await test(`${name}: two streamed calls, their results, the answer`, async () => {
    const asked = [];
    const result = streamText({
      ...options, prompt: 'The weather in two towns?', tools: tools(asked), stopWhen: stepCountIs(3),
    });
    let text = '';
    for await (const part of result.textStream) text += part;
    assert.deepEqual(asked, [{ city: 'Bern' }, { city: 'Bâle "Süd"', days: 3 }]);
    assert.equal(text, 'Let me look.It is 21 degrees in Bern.');
  });

  await test(`${name}: an abort in the stream cancels`, async () => {
    const before = (await idle()).requests.cancelled_decode;
    const controller = new AbortController();
    const result = streamText({ ...options, prompt: 'long', abortSignal: controller.signal, onError: () => {} });
    for await (const part of result.fullStream) {
      if (part.type === 'text-delta') controller.abort();
    }
    assert.equal((await idle()).requests.cancelled_decode, before + 1);
  });

  await test(`${name}: errors carry status, code and message`, async () => {
    await rejects(generateText({ ...options, prompt: 'hi', temperature: -1 }), APICallError, (error) => {
      assert.equal(error.statusCode, 400);
      assert.equal(error.isRetryable, false);
      assert.match(error.message, /temperature/);
      assert.equal(JSON.parse(error.responseBody).error.code, 'invalid_value');
    });
    await rejects(generateText({ ...options, prompt: 'x'.repeat(5000) }), APICallError, (error) => {
      assert.equal(JSON.parse(error.responseBody).error.code, 'context_length_exceeded');
    });
  });
}

await test('@ai-sdk/openai-compatible: reasoning', async () => {
  const { reasoningText, text } = await generateText({ model: models['@ai-sdk/openai-compatible'], prompt: 'think' });
  assert.equal(reasoningText, 'How many are there?');
  assert.equal(text, 'Four.');
});

await test('@ai-sdk/openai .chat(): log probabilities', async () => {
  const { providerMetadata } = await generateText({
    model: models['@ai-sdk/openai .chat()'], prompt: 'hi', maxOutputTokens: 3,
    providerOptions: { openai: { logprobs: 2 } },
  });
  assert.deepEqual(providerMetadata.openai.logprobs.map((entry) => entry.token), ['H', 'e', 'l']);
});

await test('completion models', async () => {
  for (const model of [compatible.completionModel('scripted'), openai.completion('scripted')]) {
    const { text } = await generateText({ model, prompt: 'hi' });
    assert.equal(text, 'Hello there!');
  }
});

finish();
