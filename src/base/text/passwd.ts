/** A line of passwd(5). */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** A line of group(5). */
export interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** Fields of the lines that are neither blank nor comments. */
function* records(text: string): Generator<string[]> {
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed !== '' && !trimmed.startsWith('#')) yield trimmed.split(':');
  }
}

/** A user or group number, 0 to 2³²-2; undefined when `text` is something else. */
export function parseId(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id < 0xffffffff ? id : undefined;
}

/** Lines without valid numbers are left out. */
export function parsePasswd(text: string): PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const [name = '', , uidText = '', gidText = '', , home = ''] of records(text)) {
    const uid = parseId(uidText);
    const gid = parseId(gidText);
    if (uid !== undefined && gid !== undefined) entries.push({ name, uid, gid, home });
  }
  return entries;
}

/** Lines without a valid number are left out. */
export function parseGroup(text: string): GroupEntry[] {
  const entries: GroupEntry[] = [];
  for (const [name = '', , gidText = '', members = ''] of records(text)) {
    const gid = parseId(gidText);
    if (gid !== undefined) entries.push({ name, gid, members: members === '' ? [] : members.split(',') });
  }
  return entries;
}
