import type { Definition } from '../llb/op.ts';
import { decodeInTurns } from '../llb/wire/definition-wire.ts';

/** The inputs of a request for a frontend. */
export async function definitionsByName(
  encoded: Readonly<Record<string, Uint8Array>>,
): Promise<ReadonlyMap<string, Definition>> {
  const definitions = new Map<string, Definition>();
  for (const [name, bytes] of Object.entries(encoded)) definitions.set(name, await decodeInTurns(bytes));
  return definitions;
}
