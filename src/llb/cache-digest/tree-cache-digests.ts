import { type Digest, digestOf } from '../../base/digest.ts';
import { goJson } from '../../base/json/go-json.ts';
import { type Json, nonEmpty } from '../../base/json/json-steps.ts';
import { buildJson } from '../json/build-json.ts';
import type { BuildOp, DiffOp, MergeOp, PassthroughOp } from '../op.ts';

/** The digests by which BuildKit's cache knows ops that take their inputs as wholes. */

export function mergeCacheDigest({ inputs }: MergeOp): Digest {
  return digestOf(goJson({ Type: 'buildkit.merge.v0', Merge: nonEmpty({ inputs: inputs.map(inputField) }) }));
}

export function diffCacheDigest({ lower, upper }: DiffOp): Digest {
  return digestOf(
    goJson({ Type: 'buildkit.diff.v0', Diff: { lower: inputField(lower), upper: inputField(upper) } }),
  );
}

export function passthroughCacheDigest({ id, outputs }: PassthroughOp): Digest {
  return digestOf(goJson({ Type: 'buildkit.passthrough.v0', Passthrough: nonEmpty({ id, outputs }) }));
}

export function buildCacheDigest(op: BuildOp): Digest {
  return digestOf(goJson({ Type: 'buildkit.build.v0', Exec: buildJson(op) }));
}

function inputField(input: number): Json {
  return nonEmpty({ input });
}
