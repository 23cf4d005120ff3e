import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';

/**
 * A message as Go's `encoding/json` shows the struct made of it: enums and 64-bit integers are numbers, bytes are base64, zero
 * values are left out, and the chosen alternative of a oneof is inside an object with the oneof's name, for which
 * `oneofNames` says what Go calls it.
 */
export function messageJson<T extends DescMessage>(
  schema: T,
  message: MessageShape<T>,
  oneofNames: Readonly<Record<string, string>>,
): Record<string, unknown> {
  return fieldsOf(reflect(schema, message), oneofNames);
}

function fieldsOf(message: ReflectMessage, names: Readonly<Record<string, string>>): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const value = fieldValue(message.get(field), names);
    if (field.oneof) json[names[field.oneof.name] ?? field.oneof.name] = { [field.jsonName]: value };
    else json[field.jsonName] = value;
  }
  return json;
}

function fieldValue(value: unknown, names: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value !== 'object' || value === null) return value;
  if ('desc' in value && 'fields' in value) return fieldsOf(value as ReflectMessage, names);
  if (Symbol.iterator in value) {
    const items = [...(value as Iterable<unknown>)];
    const isMap = 'has' in value && 'entries' in value;
    return isMap
      ? Object.fromEntries(
          (items as [unknown, unknown][]).map(([key, item]) => [String(key), fieldValue(item, names)]),
        )
      : items.map((item) => fieldValue(item, names));
  }
  return value;
}
