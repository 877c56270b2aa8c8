// OpenAI's own JavaScript client against the scripted server: exact answers.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { apiKey, baseURL, finish, idle, rejects, test } from './helpers.mjs';

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const model = 'scripted';
const ask = (content) => [{ role: 'user', content }];
const tools = [{
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } },
  },
}];

await test('whole and streamed agree, whatever the characters', async () => {
  for (const [content, expected] of [['hi', 'Hello there!'], ['characters', 'é€😀 👩‍👩‍👧 नि']]) {
    const whole = await client.chat.completions.create({ model, messages: ask(content) });
    assert.equal(whole.choices[0].message.content, expected);
    let streamed = '';
    for await (const chunk of await client.chat.completions.create({ model, messages: ask(content), stream: true })) {
      streamed += chunk.choices[0].delta.content ?? '';
    }
    assert.equal(streamed, expected);
  }
});

await test('the tool runner goes the whole way', async () => {
  const asked = [];
  const runner = client.chat.completions.runTools({
    model, messages: ask('The weather?'),
    tools: [{
      type: 'function',
      function: {
        ...tools[0].function,
        parse: JSON.parse,
        function: (args) => { asked.push(args); return '21 degrees'; },
      },
    }],
  });
  assert.equal(await runner.finalContent(), 'It is 21 degrees in Bern.');
  assert.deepEqual(asked, [{ city: 'Bern' }]);
});

await test('two calls in a stream, with text in front', async () => {
  const runner = client.chat.completions.stream({ model, tools, messages: ask('The weather in two towns?') });
  const { choices: [choice] } = await runner.finalChatCompletion();
  assert.equal(choice.finish_reason, 'tool_calls');
  assert.equal(choice.message.content, 'Let me look.');
  assert.deepEqual(choice.message.tool_calls.map((call) => JSON.parse(call.function.arguments)),
    [{ city: 'Bern' }, { city: 'Bâle "Süd"', days: 3 }]);
  assert.notEqual(choice.message.tool_calls[0].id, choice.message.tool_calls[1].id);
});

await test('an abort in the stream cancels', async () => {
  const before = (await idle()).requests.cancelled_decode;
  const stream = await client.chat.completions.create({ model, messages: ask('long'), stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) break;
  }
  assert.equal((await idle()).requests.cancelled_decode, before + 1);
});

await test('log probabilities and usage', async () => {
  const answer = await client.chat.completions.create({
    model, messages: ask('hi'), logprobs: true, top_logprobs: 2, max_tokens: 5,
  });
  assert.equal(answer.choices[0].finish_reason, 'length');
  assert.deepEqual(answer.choices[0].logprobs.content.map((entry) => entry.token), [...'Hello']);
  assert.equal(answer.choices[0].logprobs.content[0].top_logprobs.length, 2);
  assert.equal(answer.usage.completion_tokens, 5);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + 5);
});

await test('a full queue is a RateLimitError, and retries help', async () => {
  const busy = [];
  for (let i = 0; i < 3; ++i) {
    busy.push(client.chat.completions.create({ model, messages: ask('long') }));
  }
  // Two may wait beside the one that runs.
  while ((await (await fetch(`${baseURL}/stats`)).json()).queue.queued < 2) { /* on its way */ }
  await rejects(client.chat.completions.create({ model, messages: ask('hi') }), OpenAI.RateLimitError, (error) => {
    assert.equal(error.code, 'queue_full');
    assert.ok(Number(error.headers.get('retry-after')) >= 1);
  });
  const patient = new OpenAI({ baseURL, apiKey, maxRetries: 5 });
  const answer = await patient.chat.completions.create({ model, messages: ask('hi') });
  assert.equal(answer.choices[0].message.content, 'Hello there!');
  await Promise.all(busy);
});

finish();
