import { KilnError } from '../../../../base/errors.ts';
import { isSecretName } from '../../../../base/secrecy/secret-name.ts';
import { files } from '../../../../llb/llb.ts';
import { locateIn } from '../../dockerfile-error.ts';
import { expandToWords } from '../../expand/expand-word.ts';
import type { Linter } from '../../lint/linter.ts';
import { type LintRule, lintRules } from '../../lint/rules.ts';
import type { ArgDefinition, CommandLine, Instruction, KeyValue } from '../../parse/instruction-tree.ts';
import type { Command } from '../plan/stage-graph.ts';
import { parseExposedPort } from '../values/expose-ports.ts';
import { goDuration, goList, goQuotedList } from '../values/go-format.ts';
import { isStopSignal } from '../values/stop-signal.ts';
import { isAbsoluteTargetPath, toSlash } from '../values/target-path.ts';
import { convertCopy } from './convert-copy.ts';
import { convertRun } from './convert-run.ts';
import { displayName } from './display-name.ts';
import { frontendArgs } from './report-undefined.ts';
import { withShell } from './shell-form.ts';
import type { StageBuilder } from './stage-builder.ts';
import type { TreeState } from './tree-state.ts';

type Of<Kind extends Instruction['kind']> = Extract<Instruction, { readonly kind: Kind }>;

/** Carries out one instruction of a stage. `treeOf` gives the finished trees that it reads from. */
export function convertInstruction(stage: StageBuilder, command: Command, treeOf: TreeState): void {
  const { instruction } = command;
  const linter = stage.context.linter.for(instruction.comments);
  switch (instruction.kind) {
    case 'add':
    case 'copy':
      convertCopy(stage, command, instruction, linter, treeOf);
      break;
    case 'run':
      convertRun(stage, command, instruction, linter, treeOf);
      break;
    case 'arg':
      convertArg(stage, instruction, linter);
      break;
    case 'env':
      convertEnv(stage, instruction, linter);
      break;
    case 'label':
      convertLabel(stage, instruction, linter);
      break;
    case 'workdir':
      convertWorkdir(stage, command, instruction, linter);
      break;
    case 'user':
      convertUser(stage, instruction, linter);
      break;
    case 'cmd':
    case 'entrypoint':
      convertCommandLine(stage, instruction, linter);
      break;
    case 'expose':
      convertExpose(stage, instruction, linter);
      break;
    case 'healthcheck':
      convertHealthcheck(stage, instruction, linter);
      break;
    case 'volume':
      convertVolume(stage, instruction, linter);
      break;
    case 'stopsignal':
      convertStopSignal(stage, instruction, linter);
      break;
    case 'shell':
      stage.image.configure({ Shell: instruction.shell });
      stage.commit(`SHELL ${goList(instruction.shell)}`, false);
      break;
    case 'maintainer':
      stage.image.setAuthor(instruction.author);
      stage.commit(`MAINTAINER ${instruction.author}`, false);
      break;
    case 'onbuild':
      stage.image.addTrigger(instruction.expression);
      break;
  }
}

function convertArg(stage: StageBuilder, instruction: Of<'arg'>, linter: Linter): void {
  const { buildArgs, globalArgs } = stage.context;
  const committed = instruction.args.map((arg) => {
    checkSecret('ARG', arg.name, instruction, linter);
    const given = buildArgs.get(arg.name);
    const inherited = given === undefined && arg.value === undefined ? globalArgs.get(arg.name) : undefined;
    const value =
      given ?? (arg.value === undefined ? inherited : stage.expand(arg.value, instruction, linter));
    declareArg(stage, { ...arg, value }, instruction, inherited !== undefined);
    if (value !== undefined && !frontendArgs.has(arg.name)) stage.setEnv(arg.name, value);
    stage.addArg({ ...arg, value });
    return value === undefined ? arg.name : `${arg.name}=${value}`;
  });
  stage.commit(`ARG ${committed.join(' ')}`, false);
}

function declareArg(
  { parameters }: StageBuilder,
  { name, value, description }: ArgDefinition,
  { range }: Of<'arg'>,
  inherited: boolean,
): void {
  parameters.used.add(name);
  if (!inherited) parameters.args.set(name, { name, value, description, range, uses: new Set() });
}

function expandPairs(
  stage: StageBuilder,
  instruction: Of<'env'> | Of<'label'>,
  linter: Linter,
): readonly KeyValue[] {
  const word = (text: string) => stage.expand(text, instruction, linter);
  return instruction.pairs.map(({ key, value, legacy }) => {
    if (legacy) {
      const name = instruction.keyword;
      linter.report(
        lintRules.legacyKeyValueFormat,
        instruction.range,
        `"${name} key=value" should be used instead of legacy "${name} key value" format`,
      );
    }
    return { key: word(key), value: word(value), legacy };
  });
}

function convertEnv(stage: StageBuilder, instruction: Of<'env'>, linter: Linter): void {
  const pairs = expandPairs(stage, instruction, linter);
  for (const { key, value } of pairs) {
    checkSecret('ENV', key, instruction, linter);
    stage.image.setEnv(key, value);
    stage.setEnv(key, value);
  }
  stage.commit(`ENV ${pairs.map(({ key, value }) => `${key}=${value}`).join(' ')}`, false);
}

function convertLabel(stage: StageBuilder, instruction: Of<'label'>, linter: Linter): void {
  const pairs = expandPairs(stage, instruction, linter);
  for (const { key, value } of pairs) stage.image.setLabel(key, value);
  stage.commit(`LABEL ${pairs.map(({ key, value }) => `${key}=${value}`).join(' ')}`, false);
}

function convertWorkdir(
  stage: StageBuilder,
  command: Command,
  instruction: Of<'workdir'>,
  linter: Linter,
): void {
  const path = stage.expand(instruction.path, instruction, linter);
  if (!stage.workdirSet && !isAbsoluteTargetPath(path, stage.os)) {
    linter.report(
      lintRules.workdirRelativePath,
      instruction.range,
      `Relative workdir ${JSON.stringify(path)} can have unexpected results if the base image changes`,
    );
  }
  stage.workdirSet = true;
  stage.setWorkdir(path);
  const workdir = toSlash(stage.image.config.WorkingDir!, stage.os);
  if (workdir !== '/') {
    const { epoch } = stage.context;
    const name = stage.nextName(displayName(stage, instruction.code), command);
    stage.state = stage.state.file(
      files().mkdir(workdir, 0o755, {
        parents: true,
        owner: stage.image.config.User,
        ...(epoch !== undefined && { timestamp: BigInt(epoch) * 1_000_000_000n }),
      }),
      name.of(),
    );
  }
  stage.commit(`WORKDIR ${workdir}`, workdir !== '/');
}

function convertUser(stage: StageBuilder, instruction: Of<'user'>, linter: Linter): void {
  const user = stage.expand(instruction.user, instruction, linter);
  stage.state = stage.state.user(user);
  stage.image.configure({ User: user });
  stage.commit(`USER ${user}`, false);
}

function convertCommandLine(
  stage: StageBuilder,
  instruction: Of<'cmd' | 'entrypoint'>,
  linter: Linter,
): void {
  const { kind, command } = instruction;
  checkUsedOnce(stage, instruction, linter);
  if (command.form === 'shell' && !stage.image.config.Shell?.length) {
    linter.report(
      lintRules.jsonArgsRecommended,
      instruction.range,
      `JSON arguments recommended for ${instruction.keyword} to prevent unintended behavior related to OS signals`,
    );
  }
  const args = commandArgs(stage, command);
  if (kind === 'cmd') {
    stage.image.configure({ Cmd: args, ArgsEscaped: true });
    stage.commit(`CMD ${goQuotedList(args)}`, false);
    return;
  }
  // The base image's command belongs to the base image's entrypoint.
  stage.image.configure({ Entrypoint: args, ...(!stage.lastOf.has('cmd') && { Cmd: undefined }) });
  stage.commit(`ENTRYPOINT ${goQuotedList(args)}`, false);
}

function commandArgs(stage: StageBuilder, command: CommandLine): readonly string[] {
  return command.form === 'exec' ? command.args : withShell(stage.image, command.text);
}

function convertExpose(stage: StageBuilder, instruction: Of<'expose'>, linter: Linter): void {
  const ports = instruction.ports
    .flatMap((word) =>
      expandToWords(stage.context.words.get(word), stage.variables, {
        locate: locateIn(word, instruction.places, stage.context.file),
      }),
    )
    .flatMap((word) => {
      const parsed = parseExposedPort(word);
      if (parsed.oddCase) {
        linter.report(
          lintRules.exposeProtoCasing,
          instruction.range,
          `Defined protocol '${word}' in EXPOSE instruction should be lowercase`,
        );
      }
      if (parsed.mapped) {
        linter.report(
          lintRules.exposeInvalidFormat,
          instruction.range,
          `EXPOSE instruction should not define an IP address or host-port mapping, found '${word}'`,
        );
      }
      return parsed.ports;
    });
  stage.image.addPorts(ports);
  stage.commit(`EXPOSE ${goList(ports)}`, false);
}

function convertHealthcheck(stage: StageBuilder, instruction: Of<'healthcheck'>, linter: Linter): void {
  checkUsedOnce(stage, instruction, linter);
  const { test, interval, timeout, startPeriod, startInterval, retries } = instruction;
  stage.image.configure({
    Healthcheck: {
      Test: test,
      Interval: interval,
      Timeout: timeout,
      StartPeriod: startPeriod,
      StartInterval: startInterval,
      Retries: retries,
    },
  });
  const fields = [
    `Test:${goList(test)}`,
    `Interval:${goDuration(interval)}`,
    `Timeout:${goDuration(timeout)}`,
    `StartPeriod:${goDuration(startPeriod)}`,
    `StartInterval:${goDuration(startInterval)}`,
    `Retries:${retries}`,
  ];
  stage.commit(`HEALTHCHECK {${fields.join(' ')}}`, false);
}

function convertVolume(stage: StageBuilder, instruction: Of<'volume'>, linter: Linter): void {
  const paths = instruction.paths.map((path) => stage.expand(path, instruction, linter));
  if (paths.includes('')) {
    throw new KilnError('invalid_argument', 'VOLUME specified can not be an empty string');
  }
  stage.image.addVolumes(paths);
  stage.commit(`VOLUME ${goList(paths)}`, false);
}

function convertStopSignal(stage: StageBuilder, instruction: Of<'stopsignal'>, linter: Linter): void {
  const signal = stage.expand(instruction.signal, instruction, linter);
  if (!isStopSignal(signal)) {
    throw new KilnError('invalid_argument', `invalid signal: ${signal}`, {
      hint: 'write it as a name, SIGTERM, or as a number',
    });
  }
  stage.image.configure({ StopSignal: signal });
  stage.commit(`STOPSIGNAL ${signal}`, false);
}

/** Warns of an earlier instruction of the same kind, which this one overrides. */
function checkUsedOnce(stage: StageBuilder, instruction: Instruction, linter: Linter): void {
  const earlier = stage.lastOf.get(instruction.kind);
  if (earlier) {
    linter.report(
      lintRules.multipleInstructionsDisallowed,
      earlier,
      `Multiple ${instruction.keyword} instructions should not be used in the same stage because only the last one will be used`,
    );
  }
  stage.lastOf.set(instruction.kind, instruction.range);
}

function checkSecret(kind: 'ARG' | 'ENV', name: string, { range }: Instruction, linter: Linter): void {
  if (!isSecretName(name)) return;
  const rule: LintRule = lintRules.secretsUsedInArgOrEnv;
  linter.report(
    rule,
    range,
    `Do not use ARG or ENV instructions for sensitive data (${kind} ${JSON.stringify(name)})`,
  );
}
