import type { Dockerfile, FromInstruction, Instruction } from '../parse/instruction-tree.ts';
import type { Linter } from './linter.ts';
import { lintRules } from './rules.ts';

/** The checks that need no more than the text. */
export function checkTree(dockerfile: Dockerfile, linter: Linter): void {
  for (const range of dockerfile.emptyContinuations) {
    linter.report(lintRules.noEmptyContinuation, range, 'Empty continuation line');
  }
  checkInstructions(dockerfile.globalArgs, linter);
  for (const { from, instructions } of dockerfile.stages) checkInstructions([from, ...instructions], linter);
  checkStageNames(dockerfile, linter);
  checkCasing(dockerfile, linter);
}

/** The checks of instructions on their own, which need not be a whole file. */
export function checkInstructions(
  instructions: readonly (FromInstruction | Instruction)[],
  linter: Linter,
): void {
  for (const instruction of instructions) {
    const own = linter.for(instruction.comments);
    if (instruction.kind === 'from') checkFrom(instruction, own);
    else checkInstruction(instruction, own);
  }
}

function checkFrom({ keyword, as, name, range, comments }: FromInstruction, linter: Linter): void {
  if (!as || name === undefined) return;
  if (as.name !== as.name.toLowerCase()) {
    linter.report(lintRules.stageNameCasing, range, `Stage name '${as.name}' should be lowercase`);
  }
  const casing = [(text: string) => text.toLowerCase(), (text: string) => text.toUpperCase()].find(
    (fold) => keyword === fold(keyword),
  );
  if (casing && as.keyword !== casing(as.keyword)) {
    linter.report(
      lintRules.fromAsCasing,
      range,
      `'${as.keyword}' and '${keyword}' keywords' casing do not match`,
    );
  }
  checkDescription('FROM', [name], comments, range, linter);
}

function checkInstruction(instruction: Instruction, linter: Linter): void {
  const { range } = instruction;
  switch (instruction.kind) {
    case 'maintainer':
      linter.report(
        lintRules.maintainerDeprecated,
        range,
        'Maintainer instruction is deprecated in favor of using label',
      );
      break;
    case 'arg':
      checkDescription(
        'ARG',
        instruction.args.map(({ name }) => name),
        instruction.comments,
        range,
        linter,
      );
      break;
    default:
  }
}

function checkDescription(
  instruction: string,
  names: readonly string[],
  comments: readonly string[],
  range: Instruction['range'],
  linter: Linter,
): void {
  const comment = comments.at(-1);
  if (comment === undefined || names.includes(comment.split(' ')[0]!)) return;
  const name = names.length > 1 ? '<arg_key>' : names[0];
  linter.report(
    lintRules.invalidDefinitionDescription,
    range,
    `Comment for ${instruction} should follow the format: \`# ${name} <description>\``,
  );
}

function checkStageNames(dockerfile: Dockerfile, linter: Linter): void {
  const seen = new Set<string>();
  for (const { from } of dockerfile.stages) {
    if (from.name === undefined) continue;
    const own = linter.for(from.comments);
    if (from.name === 'context' || from.name === 'scratch') {
      own.report(
        lintRules.reservedStageName,
        from.range,
        `Stage name should not use the same name as reserved stage ${JSON.stringify(from.name)}`,
      );
    }
    if (seen.has(from.name)) {
      own.report(
        lintRules.duplicateStageName,
        from.range,
        `Duplicate stage name ${JSON.stringify(from.name)}, stage names should be unique`,
      );
    }
    seen.add(from.name);
  }
}

/** Of stages only: `ARG`s before the first one are left as they are. */
function checkCasing(dockerfile: Dockerfile, linter: Linter): void {
  const all = dockerfile.stages.flatMap(({ from, instructions }) => [from, ...instructions]);
  const lower = all.filter(({ keyword }) => keyword === keyword.toLowerCase()).length;
  const upper = all.filter(({ keyword }) => keyword === keyword.toUpperCase()).length;
  const majority = lower > upper ? 'lowercase' : 'uppercase';
  for (const { keyword, range, comments } of all) {
    const expected = lower > upper ? keyword.toLowerCase() : keyword.toUpperCase();
    if (keyword === expected) continue;
    linter
      .for(comments)
      .report(
        lintRules.consistentInstructionCasing,
        range,
        `Command '${keyword}' should match the case of the command majority (${majority})`,
      );
  }
}
