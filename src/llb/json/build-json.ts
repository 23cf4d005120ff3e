import { type Json, jsonMap, nonEmpty } from '../../base/json/json-steps.ts';
import type { BuildOp } from '../op.ts';

/** A build op as Go writes BuildKit's message as JSON, without the definition that it may carry: nothing comes of that. */
export function buildJson({ builder, inputs, attrs }: BuildOp): Json {
  return nonEmpty({
    builder,
    inputs: jsonMap(Object.entries(inputs).map(([name, input]) => [name, nonEmpty({ input })])),
    attrs: jsonMap(Object.entries(attrs)),
  });
}
