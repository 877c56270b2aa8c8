// OpenAI's own JavaScript client against the server at MACH_BASE_URL.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { apiKey, baseURL, finish, idle, rejects, test } from './helpers.mjs';

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const question = [{ role: 'user', content: 'What does "flame" mean?' }];
const tools = [{
  type: 'function',
  function: {
    name: 'set_timer',
    description: 'Start a timer.',
    parameters: {
      type: 'object',
      properties: { minutes: { type: 'integer' } },
      required: ['minutes'],
    },
  },
}];

const models = [];
for await (const model of client.models.list()) models.push(model);
const model = models[0].id;

await test('models: list and retrieve', async () => {
  assert.equal(models.length, 1);
  assert.equal(models[0].object, 'model');
  assert.equal((await client.models.retrieve(model)).id, model);
  await rejects(client.models.retrieve('no/such-model'), OpenAI.NotFoundError, (error) => {
    assert.equal(error.code, 'model_not_found');
  });
});

let whole;
await test('chat: a whole answer', async () => {
  whole = await client.chat.completions.create({ model, messages: question, temperature: 0, max_tokens: 40 });
  assert.match(whole.id, /^chatcmpl-/);
  assert.equal(whole.object, 'chat.completion');
  assert.equal(whole.choices.length, 1);
  assert.equal(whole.choices[0].message.role, 'assistant');
  assert.ok(whole.choices[0].message.content.length > 0);
  assert.ok(['stop', 'length'].includes(whole.choices[0].finish_reason));
  assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
  assert.ok(whole._request_id);
});

await test('chat: a stream says the same', async () => {
  const stream = await client.chat.completions.create({
    model, messages: question, temperature: 0, max_tokens: 40, stream: true,
    stream_options: { include_usage: true },
  });
  let content = '';
  let finish = null;
  let usage = null;
  let roles = 0;
  for await (const chunk of stream) {
    if (chunk.usage) usage = chunk.usage;
    for (const choice of chunk.choices) {
      if (choice.delta.role) ++roles;
      content += choice.delta.content ?? '';
      finish = choice.finish_reason ?? finish;
    }
  }
  assert.equal(roles, 1);
  assert.equal(content, whole.choices[0].message.content);
  assert.equal(finish, whole.choices[0].finish_reason);
  assert.deepEqual(usage, whole.usage);
});

await test('chat: the stream helper puts the answer together', async () => {
  const runner = client.chat.completions.stream({ model, messages: question, temperature: 0, max_tokens: 40 });
  let events = 0;
  runner.on('content', () => ++events);
  const final = await runner.finalChatCompletion();
  assert.ok(events > 0);
  assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
});

await test('chat: the same seed gives the same answer', async () => {
  const ask = (seed) => client.chat.completions.create({
    model, messages: question, temperature: 1, seed, max_tokens: 24,
  });
  const [a, b] = [await ask(11), await ask(11)];
  assert.equal(a.choices[0].message.content, b.choices[0].message.content);
});

await test('chat: log probabilities', async () => {
  const answer = await client.chat.completions.create({
    model, messages: question, temperature: 0, max_tokens: 8, logprobs: true, top_logprobs: 3,
  });
  const entries = answer.choices[0].logprobs.content;
  assert.ok(entries.length > 0);
  for (const entry of entries) {
    assert.ok(entry.logprob <= 0);
    assert.equal(entry.top_logprobs.length, 3);
    assert.equal(entry.top_logprobs[0].token, entry.token);  // greedy: the most probable one
  }
  const bytes = Buffer.from(entries.flatMap((entry) => entry.bytes));
  assert.equal(bytes.toString('utf8').trim(), answer.choices[0].message.content.trim());
});

await test('chat: a stop string ends the answer before it', async () => {
  const text = whole.choices[0].message.content;
  const stop = text.slice(5, 8);
  const answer = await client.chat.completions.create({
    model, messages: question, temperature: 0, max_tokens: 40, stop,
  });
  assert.equal(answer.choices[0].message.content, text.slice(0, text.indexOf(stop)));
  assert.equal(answer.choices[0].finish_reason, 'stop');
});

await test('chat: tool calls, whole and streamed', async () => {
  const request = {
    model, tools, temperature: 0, max_tokens: 80,
    messages: [{ role: 'user', content: 'Wake me in 77 minutes.' }],
  };
  const answer = await client.chat.completions.create(request);
  assert.equal(answer.choices[0].finish_reason, 'tool_calls');
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'set_timer');
  assert.equal(typeof JSON.parse(call.function.arguments).minutes, 'number');
  const streamed = await client.chat.completions.stream(request).finalChatCompletion();
  const [same] = streamed.choices[0].message.tool_calls;
  assert.equal(same.function.name, call.function.name);
  assert.equal(same.function.arguments, call.function.arguments);
  // The turn goes on with the tool's answer.
  const next = await client.chat.completions.create({
    ...request,
    messages: [...request.messages, answer.choices[0].message,
      { role: 'tool', tool_call_id: call.id, content: 'started' }],
  });
  assert.equal(next.choices[0].message.role, 'assistant');
});

await test('chat: an abort in the stream frees the server', async () => {
  for (let i = 0; i < 5; ++i) {
    const stream = await client.chat.completions.create({
      model, messages: question, temperature: 1, max_tokens: 4000, stream: true, ignore_eos: true,
    });
    let chunks = 0;
    for await (const chunk of stream) {
      assert.ok(chunk.id);
      if (++chunks === 4) break;  // the client aborts the request
    }
    assert.equal(chunks, 4);
  }
  const controller = new AbortController();
  const pending = client.chat.completions.create(
    { model, messages: question, max_tokens: 4000, ignore_eos: true }, { signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  await rejects(pending, OpenAI.APIUserAbortError);
  const after = await client.chat.completions.create(
    { model, messages: question, temperature: 0, max_tokens: 4 }, { timeout: 60_000 });
  assert.equal(after.choices.length, 1);
});

await test('chat: several requests at once', async () => {
  const answers = await Promise.all([1, 2, 3, 4].map(() => client.chat.completions.create({
    model, messages: question, temperature: 0, max_tokens: 12 })));
  for (const answer of answers) {
    assert.equal(answer.choices[0].message.content, answers[0].choices[0].message.content);
  }
});

await test('chat: a forced call', async () => {
  for (const tool_choice of ['required', { type: 'function', function: { name: 'set_timer' } }]) {
    const answer = await client.chat.completions.create({
      model, tools, tool_choice, temperature: 0, max_tokens: 80,
      messages: [{ role: 'user', content: 'Wake me in 77 minutes.' }],
    });
    assert.equal(answer.choices[0].finish_reason, 'tool_calls');
    assert.equal(answer.choices[0].message.tool_calls[0].function.name, 'set_timer');
    JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments);
  }
});

await test('completions: whole and streamed', async () => {
  const request = { model, prompt: 'A flame is', temperature: 0, max_tokens: 12 };
  const text = (await client.completions.create(request)).choices[0].text;
  assert.ok(text.length > 0);
  let streamed = '';
  for await (const chunk of await client.completions.create({ ...request, stream: true })) {
    streamed += chunk.choices[0]?.text ?? '';
  }
  assert.equal(streamed, text);
  const several = await client.completions.create({
    ...request, prompt: ['A flame is', 'A heron is'], n: 2, logprobs: 2,
  });
  assert.equal(several.choices.length, 4);
  assert.equal(several.choices[0].text, text);
  const { tokens, token_logprobs, text_offset, top_logprobs } = several.choices[0].logprobs;
  assert.equal(tokens.length, 12);
  assert.equal(token_logprobs.length, 12);
  assert.equal(top_logprobs.length, 12);
  assert.equal(text_offset[0], 0);
});

await test('statistics and listings', async () => {
  const stats = await idle();
  assert.equal(stats.requests.accepted, stats.requests.stopped + stats.requests.length
    + stats.requests.failed + stats.requests.cancelled_queued + stats.requests.cancelled_prefill
    + stats.requests.cancelled_decode);
  const origin = new URL(baseURL).origin;
  const tokens = await client.post('/tokenize', { body: { content: 'A flame is' } });
  const text = await client.post('/detokenize', { body: { tokens: tokens.tokens } });
  assert.equal(text.content, 'A flame is');
  const { prompt } = await client.post('/apply-template', { body: { messages: question } });
  assert.match(prompt, /flame/);
  assert.deepEqual((await client.get('/mach/requests')).data, []);
  assert.match(await (await fetch(`${origin}/metrics`)).text(), /^mach_output_tokens_total [1-9]/m);
  const cache = await client.get('/cache/stats');
  assert.equal(cache.generation_in_flight, false);
});

await test('errors: classes, codes and params', async () => {
  const bad = (extra) => client.chat.completions.create({ model, messages: question, ...extra });
  await rejects(bad({ temperature: -1 }), OpenAI.BadRequestError, (error) => {
    assert.equal(error.status, 400);
    assert.equal(error.param, 'temperature');
    assert.equal(error.code, 'invalid_value');
    assert.ok(error.requestID);
  });
  await rejects(bad({ messages: [] }), OpenAI.BadRequestError, (error) => {
    assert.equal(error.param, 'messages');
  });
  await rejects(bad({ response_format: { type: 'json_object' } }), OpenAI.BadRequestError, (error) => {
    assert.equal(error.code, 'unsupported_parameter');
  });
  await rejects(bad({ stream: true, messages: [{ role: 'user', content: 'x '.repeat(100_000) }] }),
    OpenAI.BadRequestError, (error) => assert.equal(error.code, 'context_length_exceeded'));
  await rejects(client.post('/no/such/route', { body: {} }), OpenAI.NotFoundError, (error) => {
    assert.equal(error.code, 'route_not_found');
  });
});

finish();
