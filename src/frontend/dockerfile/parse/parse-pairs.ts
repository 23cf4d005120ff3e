import { atLeastOne, descriptionsIn, type Parts, splitOnce } from './instruction-parts.ts';
import type { ArgDefinition, KeyValue } from './instruction-tree.ts';
import { splitQuoted } from './words.ts';

/** The definitions of an `ARG`: `name` or `name=default`. */
export function argDefinitions(parts: Parts): readonly ArgDefinition[] {
  const { line, head, fail } = parts;
  const words = splitQuoted(line.rest, parts.escape, line.restStart);
  if (words.length === 0) throw atLeastOne(parts);
  const descriptions = descriptionsIn(head.comments);
  return words.map(({ text, start }) => {
    const equals = text.indexOf('=');
    if (equals === 0) throw fail('ARG names can not be blank');
    const name = equals < 0 ? text : text.slice(0, equals);
    const description = descriptions.get(name);
    if (equals > 0) head.places.add(text.slice(equals + 1), start + equals + 1);
    return {
      name,
      ...(equals > 0 && { value: text.slice(equals + 1) }),
      ...(description !== undefined && { description }),
    };
  });
}

/** The pairs of an `ENV` or `LABEL`: `key=value …`, or one pair `key value`. */
export function keyValues(parts: Parts): readonly KeyValue[] {
  const { line, head, fail } = parts;
  const words = splitQuoted(line.rest, parts.escape, line.restStart);
  const [first] = words;
  if (first === undefined) throw atLeastOne(parts);
  if (!first.text.includes('=')) {
    const [key, value] = splitOnce(line.rest);
    if (value === undefined) throw fail(`${line.name} must have two arguments`);
    head.places.add(key, line.restStart);
    head.places.add(value, line.restStart + line.rest.length - value.length);
    return [{ key, value, legacy: true }];
  }
  return words.map(({ text, start }) => {
    const equals = text.indexOf('=');
    if (equals < 0) {
      throw fail(`Syntax error - can't find = in ${JSON.stringify(text)}. Must be of the form: name=value`);
    }
    if (equals === 0) throw fail(`${line.name} names can not be blank`);
    const key = text.slice(0, equals);
    const value = text.slice(equals + 1);
    head.places.add(key, start);
    head.places.add(value, start + equals + 1);
    return { key, value, legacy: false };
  });
}
