import { KilnError } from '../../base/errors.ts';
import { parseId } from '../../base/text/passwd.ts';
import { readGroup, readPasswd } from '../../linux/user-database.ts';

/** Who a process runs as. `additionalGids` holds `gid` too. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** The user's home directory, `/` when the tree knows none. */
  readonly home: string;
}

/**
 * Looks `user[:group]` up in the passwd and group files of the tree at `rootfs`. Numbers need no entry; a user without
 * a group gets its own group and the ones it is a member of. Throws `not_found` for an unknown name. Blocks.
 */
export function lookupUser(rootfs: string, spec: string): ContainerUser {
  const separator = spec.indexOf(':');
  const userPart = (separator < 0 ? spec : spec.slice(0, separator)) || '0';
  const groupPart = separator < 0 ? '' : spec.slice(separator + 1);

  const users = readPasswd(rootfs);
  const number = parseId(userPart);
  const entry = users.find((user) => (number === undefined ? user.name === userPart : user.uid === number));
  const uid = entry?.uid ?? number ?? (userPart === 'root' ? 0 : undefined);
  if (uid === undefined) {
    throw new KilnError('not_found', `unable to find user ${userPart}: no such entry in /etc/passwd`, {
      hint: 'create the user in an earlier step, or give its number',
    });
  }
  const home = entry?.home || '/';
  if (groupPart !== '') {
    const gid = lookupGroup(rootfs, groupPart);
    return { uid, gid, additionalGids: [gid], home };
  }
  const gid = entry?.gid ?? 0;
  const memberOf = entry
    ? readGroup(rootfs)
        .filter((group) => group.members.includes(entry.name))
        .map((group) => group.gid)
    : [];
  return { uid, gid, additionalGids: [...new Set([gid, ...memberOf])], home };
}

function lookupGroup(rootfs: string, name: string): number {
  const number = parseId(name);
  if (number !== undefined) return number;
  const gid = readGroup(rootfs).find((group) => group.name === name)?.gid;
  if (gid !== undefined) return gid;
  if (name === 'root') return 0;
  throw new KilnError('not_found', `unable to find group ${name}: no such entry in /etc/group`, {
    hint: 'create the group in an earlier step, or give its number',
  });
}
