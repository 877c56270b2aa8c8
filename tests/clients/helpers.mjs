// What the client scripts share.
import assert from 'node:assert/strict';

export const baseURL = process.env.MACH_BASE_URL;
assert.ok(baseURL, 'MACH_BASE_URL is not set');
export const apiKey = process.env.MACH_API_KEY ?? 'none';

let failures = 0;
export async function test(name, body) {
  try {
    await body();
    console.log(`ok    ${name}`);
  } catch (error) {
    ++failures;
    console.log(`FAIL  ${name}\n${error.stack}`);
  }
}

// Checks that the promise is rejected with an error of that class.
export async function rejects(promise, type, check) {
  let error;
  try {
    await promise;
  } catch (caught) {
    error = caught;
  }
  assert.ok(error instanceof type, `expected ${type.name}, got ${error?.constructor?.name}: ${error?.message}`);
  check?.(error);
}

export function finish() {
  console.log(failures === 0 ? 'all passed' : `${failures} failed`);
  process.exit(failures === 0 ? 0 : 1);
}

// Waits until the server neither runs nor queues anything.
export async function idle() {
  for (let i = 0; i < 200; ++i) {
    const stats = await (await fetch(`${baseURL}/stats`)).json();
    if (stats.queue.running === 0 && stats.queue.queued === 0) return stats;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('the server did not come to rest');
}
