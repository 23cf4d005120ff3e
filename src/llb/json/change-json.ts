import { type Json, nonEmpty } from '../../base/json/json-steps.ts';
import type { FileChange, Owner, OwnerId } from '../op.ts';
import { unset } from '../wire/wire-values.ts';

/** What an action of a file op does, as Go writes BuildKit's message as JSON: cache digests and provenance are made of it. */
export function changeJson(change: FileChange): Json {
  switch (change.kind) {
    case 'copy':
      return nonEmpty({
        src: change.src,
        dest: change.dest,
        owner: ownerJson(change.owner),
        mode: change.modeString === '' ? (change.mode ?? unset) : 0,
        followSymlink: change.followSymlink,
        dirCopyContents: change.dirCopyContents,
        attemptUnpackDockerCompatibility: change.unpackArchive,
        createDestPath: change.createDestPath,
        allowWildcard: change.allowWildcard,
        allowEmptyWildcard: change.allowEmptyWildcard,
        timestamp: change.timestamp ?? unset,
        include_patterns: [...change.includePatterns],
        exclude_patterns: [...change.excludePatterns],
        alwaysReplaceExistingDestPaths: change.alwaysReplaceExistingDestPaths,
        modeStr: change.modeString,
        required_paths: [...change.requiredPaths],
      });
    case 'mkfile':
      return nonEmpty({
        path: change.path,
        mode: change.mode,
        data: Buffer.from(change.data).toString('base64'),
        owner: ownerJson(change.owner),
        timestamp: change.timestamp ?? unset,
      });
    case 'mkdir':
      return nonEmpty({
        path: change.path,
        mode: change.mode,
        makeParents: change.makeParents,
        owner: ownerJson(change.owner),
        timestamp: change.timestamp ?? unset,
      });
    case 'symlink':
      return nonEmpty({
        oldpath: change.oldPath,
        newpath: change.newPath,
        owner: ownerJson(change.owner),
        timestamp: change.timestamp ?? unset,
      });
    case 'rm':
      return nonEmpty({
        path: change.path,
        allowNotFound: change.allowNotFound,
        allowWildcard: change.allowWildcard,
      });
  }
}

function ownerJson(owner: Owner | undefined): Json | undefined {
  return owner && nonEmpty({ user: ownerIdJson(owner.user), group: ownerIdJson(owner.group) });
}

function ownerIdJson(id: OwnerId | undefined): Json | undefined {
  if (!id) return undefined;
  const user = id.kind === 'id' ? { byId: id.id } : { byName: nonEmpty({ name: id.name, input: id.input }) };
  return { User: nonEmpty<Json>(user) };
}
