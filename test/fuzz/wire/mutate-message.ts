import type { Random } from '../../../src/base/testing/random.ts';

/** Texts that mean something to some part of the program that reads them: names of objects, paths, numbers, text cut short. */
export const hostileTexts: readonly string[] = [
  '',
  '__proto__',
  'constructor',
  'toString',
  '/',
  '..',
  '../../../../etc/passwd',
  '/proc/self/fd/0',
  'a\0b',
  '\ud800',
  'ä'.repeat(300),
  '-1',
  '18446744073709551616',
  'NaN',
  'sha256:0000000000000000000000000000000000000000000000000000000000000000',
  'sha256:',
  '[',
  '*'.repeat(40),
  '{"a":',
  '%00%ff',
];

/** Bytes that are a length or a number at the edge of what there is. */
const edges: readonly (readonly number[])[] = [
  [0],
  [0x7f],
  [0xff],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
];

/** `message`, changed in up to three places. */
export function mutateMessage(random: Random, message: Uint8Array): Buffer {
  let mutated = Buffer.from(message);
  for (let times = 1 + random.below(3); times > 0; times--) mutated = mutateOnce(random, mutated);
  return mutated;
}

function mutateOnce(random: Random, message: Buffer): Buffer<ArrayBuffer> {
  const at = random.below(message.length + 1);
  const end = Math.min(message.length, at + 1 + random.below(8));
  const before = message.subarray(0, at);
  switch (random.below(8)) {
    case 0: {
      const flipped = Buffer.from(message);
      if (at < flipped.length) flipped[at]! ^= 1 << random.below(8);
      return flipped;
    }
    case 1:
      return Buffer.concat([before, Buffer.from(random.pick(edges)), message.subarray(end)]);
    case 2:
      return Buffer.concat([before, Buffer.from(random.pick(hostileTexts)), message.subarray(at)]);
    case 3:
      return Buffer.from(before);
    case 4:
      return Buffer.concat([before, message.subarray(end)]);
    case 5:
      return Buffer.concat([message.subarray(0, end), message.subarray(at)]);
    case 6: {
      const noise = Buffer.from(Array.from({ length: 1 + random.below(20) }, () => random.below(256)));
      return Buffer.concat([before, noise, message.subarray(at)]);
    }
    default:
      return Buffer.from(message.subarray(at));
  }
}
