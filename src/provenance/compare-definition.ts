import { withoutCredentials } from '../base/secrecy/without-credentials.ts';
import type { RecordedBuild } from './recorded-build.ts';
import { Redactor } from './redactor.ts';
import { requestAccount } from './request-account.ts';

/** A definition that an image is expected to have been built from. */
export type ExpectedDefinition =
  | {
      readonly kind: 'frontend';
      readonly frontend: string;
      readonly options: Readonly<Record<string, string>>;
      /** Names of directories. */
      readonly locals: readonly string[];
      /** Undefined when it is not here. */
      readonly dockerfile: { readonly name: string; readonly text: Uint8Array } | undefined;
    }
  | { readonly kind: 'definition'; readonly steps: ReadonlySet<string> };

export interface DefinitionComparison {
  /** What the provenance names otherwise, each in a sentence. */
  readonly differences: readonly string[];
  /** What cannot be told, because the provenance leaves it out, or because it is not here. */
  readonly unknown: readonly string[];
  /** What agrees as far as it can be seen: the provenance has a mask in the place of a secret. */
  readonly masked: readonly string[];
}

/** Options that say how something is built, or what else is made of it, but not what. */
const aboutBuild =
  /^(no-cache|frontend\.caps|contextkey|dockerfilekey|multi-platform|cmdline|local-sessionid:.*|sharedkey:.*|vcs:.*)$/;
/** Options that `mode=min` leaves out. */
const leftOutByMin = /^(build-arg|label):/;
const defaultPath = 'Dockerfile';
/** Options that are told as the place of the definition. */
const context = 'context';
const filename = 'filename';

/** What a provenance says otherwise than a definition. */
export function compareDefinition(
  expected: ExpectedDefinition,
  recorded: RecordedBuild,
): DefinitionComparison {
  return expected.kind === 'definition'
    ? compareSteps(expected.steps, recorded)
    : compareRequest(expected, recorded);
}

function compareSteps(steps: ReadonlySet<string>, recorded: RecordedBuild): DefinitionComparison {
  const { frontend, steps: built } = recorded;
  const differences = frontend === '' ? [] : [`it was built by the frontend ${frontend}, from a file`];
  if (!built)
    return {
      differences,
      unknown: ['the steps of the definition, which mode=max would name'],
      masked: [],
    };
  const count = (some: ReadonlySet<string>, others: ReadonlySet<string>) =>
    [...some].filter((digest) => !others.has(digest)).length;
  const missing = count(steps, built);
  const added = count(built, steps);
  if (missing > 0)
    differences.push(`${missing} of ${steps.size} steps of the definition are not in the image`);
  if (added > 0) differences.push(`${added} of ${built.size} steps of the image are not in the definition`);
  return { differences, unknown: [], masked: [] };
}

function compareRequest(
  expected: ExpectedDefinition & { readonly kind: 'frontend' },
  recorded: RecordedBuild,
): DefinitionComparison {
  const request = requestAccount(expected.frontend, expected.options, new Map());
  const redactor = new Redactor([request]);
  const differences: string[] = [];
  const unknown: string[] = [];
  const masked: string[] = [];
  const compare = (what: string, wanted: string | undefined, found: string | undefined) => {
    if (wanted !== found) differences.push(`${what}: the image has ${shown(found)}, not ${shown(wanted)}`);
  };

  compare('frontend', expected.frontend, recorded.frontend || undefined);
  const remote = request.options.get(context);
  compare('context', remote && withoutCredentials(remote), recorded.context);
  compare('file', request.options.get(filename) ?? defaultPath, recorded.path ?? defaultPath);
  compare('directories', named(expected.locals), named(recorded.locals));

  const names = new Set([...request.options.keys(), ...recorded.args.keys()]);
  for (const name of [...names].sort()) {
    if (name === context || name === filename || aboutBuild.test(name)) continue;
    const [wanted, found] = [request.options.get(name), recorded.args.get(name)];
    if (leftOutByMin.test(name) && !recorded.hasAllArgs && found === undefined) {
      unknown.push(`${name}, which mode=max would name`);
      continue;
    }
    // Other builders mask less.
    if (wanted === found) continue;
    const hidden = wanted && redactor.text(redactor.option(name, wanted));
    if (hidden === found) masked.push(name);
    else if (found !== undefined && hidden === redactor.option(name, found))
      differences.push(`${name}: the image has another value`);
    else compare(name, hidden, found && redactor.option(name, found));
  }

  const { dockerfile } = expected;
  const built = dockerfile && recorded.files?.get(dockerfile.name);
  if (!dockerfile) {
    // A remote context names the text.
    if (!remote) unknown.push('the text of the file, which is not here');
  } else if (!built) unknown.push(`the text of ${dockerfile.name}, which mode=max would have`);
  else if (Buffer.compare(dockerfile.text, built) !== 0) {
    const changed = compareText(dockerfile.name, redactor.data(dockerfile.text), built);
    if (changed === undefined) masked.push(`parts of ${dockerfile.name}`);
    else differences.push(changed);
  }
  return { differences, unknown, masked };
}

function compareText(name: string, wanted: Uint8Array, found: Uint8Array): string | undefined {
  if (Buffer.compare(wanted, found) === 0) return undefined;
  const [here, there] = [wanted, found].map((text) => Buffer.from(text).toString('utf8').split('\n'));
  const at = here!.findIndex((line, index) => line !== there![index]);
  const line = at < 0 ? here!.length : at;
  return `${name}, line ${line + 1}: the image has ${shown(there![line])}, not ${shown(here![line])}`;
}

function named(locals: readonly string[]): string | undefined {
  return locals.length === 0 ? undefined : [...new Set(locals)].sort().join(', ');
}

/** Bounded, since it comes from elsewhere. */
function shown(text: string | undefined): string {
  if (text === undefined) return 'none';
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
