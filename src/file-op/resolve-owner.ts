import { readGroup, readPasswd } from '../linux/user-database.ts';
import type { Owner, OwnerId } from '../llb/op.ts';
import type { FileTree } from './file-op.ts';

export interface OwnerNumbers {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The numbers an owner stands for; undefined when none is given. A user alone brings its own group: by name the one in
 * passwd, by number the group of that number. A name that its tree does not know is root, as everywhere in the field. Blocks.
 */
export function resolveOwner(
  owner: Owner | undefined,
  trees: Readonly<Record<number, FileTree>>,
): OwnerNumbers | undefined {
  if (!owner) return undefined;
  const user = owner.user ? resolveUser(owner.user, trees) : { uid: 0, gid: 0 };
  return { uid: user.uid, gid: owner.group ? resolveGroup(owner.group, trees) : user.gid };
}

function resolveUser(user: OwnerId, trees: Readonly<Record<number, FileTree>>): OwnerNumbers {
  if (user.kind === 'id') return { uid: user.id, gid: user.id };
  const tree = trees[user.input];
  const entry = tree && readPasswd(tree.path).find(({ name }) => name === user.name);
  return entry ?? { uid: 0, gid: 0 };
}

function resolveGroup(group: OwnerId, trees: Readonly<Record<number, FileTree>>): number {
  if (group.kind === 'id') return group.id;
  const tree = trees[group.input];
  return (tree && readGroup(tree.path).find(({ name }) => name === group.name)?.gid) ?? 0;
}
