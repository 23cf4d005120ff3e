import { create, type DescField, type DescMessage, ScalarType, toBinary } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import type { Random } from '../../../src/base/testing/random.ts';
import { hostileTexts, mutateMessage } from './mutate-message.ts';

/** What random messages are made of besides noise: values that let some of them get further. */
export interface Vocabulary {
  readonly texts: readonly string[];
  readonly bytes: readonly Uint8Array[];
}

const deepest = 5;

/** The encoding of some message of this type; half of them are damaged. */
export function randomMessage(random: Random, type: DescMessage, words: Vocabulary): Buffer {
  const message = reflect(type, create(type));
  fill(random, message, words, 0);
  const encoded = toBinary(type, message.message as ReturnType<typeof create>);
  return random.chance(0.5) ? mutateMessage(random, encoded) : Buffer.from(encoded);
}

function fill(random: Random, message: ReflectMessage, words: Vocabulary, depth: number): void {
  for (const field of message.desc.fields) {
    if (random.chance(depth === 0 ? 0.3 : 0.5)) continue;
    switch (field.fieldKind) {
      case 'list': {
        const list = message.get(field);
        for (let count = random.below(3); count > 0; count--)
          list.add(randomValue(random, field, words, depth));
        break;
      }
      case 'map': {
        const map = message.get(field);
        if (field.mapKey !== ScalarType.STRING) break;
        for (let count = random.below(3); count > 0; count--) {
          map.set(textOf(random, words), randomValue(random, field, words, depth));
        }
        break;
      }
      default:
        message.set(field, randomValue(random, field, words, depth));
    }
  }
}

function randomValue(random: Random, field: DescField, words: Vocabulary, depth: number): unknown {
  if (field.message) {
    const message = reflect(field.message, create(field.message));
    if (depth < deepest) fill(random, message, words, depth + 1);
    return message;
  }
  if (field.enum) return random.below(6);
  switch (field.scalar) {
    case ScalarType.STRING:
      return textOf(random, words);
    case ScalarType.BYTES:
      return random.chance(0.7)
        ? random.pick(words.bytes)
        : Buffer.from(random.pick(hostileTexts).toWellFormed());
    case ScalarType.BOOL:
      return random.chance(0.5);
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return random.pick([0, -1, 0.5]);
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return random.pick([0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 4096n]);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return random.pick([0n, 1n, 2n ** 64n - 1n, 4096n]);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return random.pick([0, 1, 2 ** 32 - 1, 0x8000_01ed]);
    default:
      return random.pick([0, 1, -1, 2 ** 31 - 1, -(2 ** 31)]);
  }
}

function textOf(random: Random, words: Vocabulary): string {
  return (random.chance(0.7) ? random.pick(words.texts) : random.pick(hostileTexts)).toWellFormed();
}
