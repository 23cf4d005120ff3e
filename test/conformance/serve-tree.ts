import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import { MatchType, PolicyAction, type Rule, RuleSchema } from '../../src/api/gen/policy_pb.js';
import { HttpRig } from '../../src/http/http-rig.ts';

/** Where cases look for the files that are served to them. */
const origin = 'http://files.test/';

export interface ServedTree extends AsyncDisposable {
  /** Has daemons look for them where they are. */
  readonly rule: Rule;
}

/** Serves files below `root` by the paths in URLs that begin with `http://files.test/`, with their times. */
export async function serveTree(root: string, files: readonly string[]): Promise<ServedTree> {
  const rig = await HttpRig.start();
  for (const file of files) {
    const full = path.join(root, file);
    const headers = { 'last-modified': statSync(full).mtime.toUTCString() };
    rig.serve(`/${encodeURI(file)}`, { content: readFileSync(full), headers });
  }
  return {
    rule: create(RuleSchema, {
      action: PolicyAction.CONVERT,
      selector: { identifier: `${origin}*`, matchType: MatchType.WILDCARD },
      updates: { identifier: rig.url('/$1') },
    }),
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
}
