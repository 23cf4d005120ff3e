import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import { MatchType, PolicyAction, RuleSchema } from '../../src/api/gen/policy_pb.js';
import { GitRepository, GitServer } from '../../src/source/git/git-rig.ts';
import type { ServedTree } from './serve-tree.ts';

/** Where cases look for the repository that is served to them. */
const address = 'repos.test/app.git';

/** Makes the tree at `root` a repository with one commit, and serves it as `http://repos.test/app.git`. */
export async function serveRepository(root: string): Promise<ServedTree> {
  const repository = new GitRepository(root);
  repository.commit();
  repository.git('tag', 'light');
  repository.git('tag', '--annotate', '--message=a version', 'v1');
  const server = await GitServer.start(path.dirname(root));
  const url = server.url(path.basename(root));
  return {
    rule: create(RuleSchema, {
      action: PolicyAction.CONVERT,
      selector: { identifier: `git://${address}*`, matchType: MatchType.WILDCARD },
      updates: { identifier: `git://${url.replace('http://', '')}$1`, attrs: { 'git.fullurl': url } },
    }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
