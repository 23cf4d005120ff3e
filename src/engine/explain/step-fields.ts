import { digestOf } from '../../base/digest.ts';
import { ownValue } from '../../base/own-value.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { canonicalText, type Plain } from '../../base/text/canonical.ts';
import { countsById } from '../../llb/cache-digest/exec-cache-digest.ts';
import { goBase } from '../../llb/cache-digest/file-cache-digest.ts';
import {
  type ExecMount,
  type ExecOp,
  type FileAction,
  type FileChange,
  noIndex,
  type Op,
  type Owner,
} from '../../llb/op.ts';
import { shortened } from '../../llb/op-name.ts';

/** What a field says of its step; the kinds of causes that its change leads to. Compared in this order. */
export const fieldKinds = ['platform', 'image', 'command', 'variable', 'mount', 'option'] as const;
export type FieldKind = (typeof fieldKinds)[number];

/** One part of a step's identity: two steps with equal fields do the same to equal inputs. */
export interface StepField {
  readonly kind: FieldKind;
  readonly name: string;
  readonly value: string;
}

const longest = 400;

/** The identity of an op, in the words of its author where there are some. `platform`: the one of ops that name none. */
export function stepFields({ action, platform: own }: Op, platform: Platform): readonly StepField[] {
  const on: StepField = { kind: 'platform', name: 'platform', value: formatPlatform(own ?? platform) };
  switch (action.kind) {
    case 'exec':
      return [on, ...execFields(action)];
    case 'file':
      return action.actions.flatMap((each, index) => actionFields(each, index));
    case 'source':
      return [
        on,
        field('image', imageName(action.identifier), imagePin(action.identifier)),
        ...options('', action.attrs as unknown as Plain),
      ];
    case 'merge':
    case 'diff':
    case 'build':
    case 'passthrough':
      return [field('option', action.kind, canonicalText(action as unknown as Plain))];
  }
}

function execFields({ meta, mounts, network, security, secretEnv, devices }: ExecOp): readonly StepField[] {
  const { args, env, cwd, user, extraHosts, proxyEnv: _, ...rest } = meta;
  const isShell = args.length === 3 && args[1] === '-c';
  return [
    field('command', 'command', isShell ? args[2]! : args.join(' ')),
    ...(isShell ? [field('option', 'SHELL', args.slice(0, 2).join(' '))] : []),
    ...env.map((entry) => {
      const equals = entry.indexOf('=');
      return field('variable', entry.slice(0, equals), entry.slice(equals + 1));
    }),
    ...mounts.map((mount) => field('mount', mount.dest, mountText(mount))),
    field('option', 'WORKDIR', cwd),
    field('option', 'USER', user),
    field('option', '--network', network),
    field('option', '--security', security),
    field('option', '--add-host', extraHosts.map(({ host }) => host).join(', ')),
    ...options('', { ...rest, secretEnv, devices } as unknown as Plain),
  ];
}

function mountText({ type, dest, input, output, readonly }: ExecMount): string {
  // Which cache it is says nothing about what the step makes, but its default id is part of the step's key.
  const hasOwnId = type.kind === 'cache' && !countsById(type, dest);
  const parts = Object.entries({ ...(hasOwnId ? {} : type), input, output, readonly }).flatMap(
    ([name, value]) =>
      name === 'kind' || value === '' || value === false || value === noIndex ? [] : [`${name}=${value}`],
  );
  return [type.kind, ...(hasOwnId ? ['own id'] : []), ...parts].join(',');
}

/** The flags and words of a Dockerfile that actions are made of. */
const wordOf: Readonly<Record<string, string>> = {
  dest: 'the destination',
  src: 'the source',
  path: 'the path',
  data: 'the text',
  mode: '--chmod',
  modeString: '--chmod',
  excludePatterns: '--exclude',
  includePatterns: '--include',
};

function actionFields(action: FileAction, index: number): readonly StepField[] {
  const { change, ...around } = action;
  const counted = change.kind === 'copy' ? { ...change, src: goBase(change.src) } : change;
  const { owner, ...fields } = counted as { readonly owner?: Owner };
  const prefix = index === 0 ? '' : `action ${index + 1}: `;
  const owners = owner ? [field('option', `${prefix}--chown`, ownerText(owner))] : [];
  return [...owners, ...options(prefix, { ...around, ...fields } as Plain)];
}

function ownerText({ user, group }: NonNullable<Extract<FileChange, { owner?: Owner }>['owner']>): string {
  return [user, group]
    .flatMap((id) => (id === undefined ? [] : [id.kind === 'id' ? String(id.id) : id.name]))
    .join(':');
}

/** One field for each property that says something. */
function options(prefix: string, value: Plain): readonly StepField[] {
  return Object.entries(value as Readonly<Record<string, Plain>>).flatMap(([name, each]) => {
    if (each === undefined || each === '' || each === false) return [];
    if (Array.isArray(each) && each.length === 0) return [];
    return [field('option', prefix + (ownValue(wordOf, name) ?? name), optionText(name, each))];
  });
}

function optionText(name: string, value: Plain): string {
  if (name === 'mode' && typeof value === 'number') return value.toString(8).padStart(4, '0');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  return typeof value === 'string' ? value : canonicalText(value);
}

function field(kind: FieldKind, name: string, value: string): StepField {
  return { kind, name: cutText(name), value: cutText(value) };
}

/** A text, if it is long with a digest of all in the place of its end. */
export function cutText(text: string): string {
  return text.length <= longest ? text : `${shortened(text, longest)} (${digestOf(text)})`;
}

const scheme = /^[a-z-]+:\/\//;

function imageName(identifier: string): string {
  return identifier.replace(scheme, '').split('@', 1)[0]!;
}

/** The digest that an image was resolved to, else all that is known of a source. */
function imagePin(identifier: string): string {
  const at = identifier.indexOf('@');
  return at < 0 ? identifier : identifier.slice(at + 1);
}
