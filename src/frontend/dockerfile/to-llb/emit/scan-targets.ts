import { parseGoBool } from '../../../../base/text/go-bool.ts';
import type { ScanTargets } from '../../../sbom-scanner.ts';
import type { ConversionContext } from '../plan/conversion-context.ts';
import type { StageBuilder } from './stage-builder.ts';

/** Arguments of the frontend by which a file says what SBOMs are about besides the result. */
const scanContext = 'BUILDKIT_SBOM_SCAN_CONTEXT';
const scanStage = 'BUILDKIT_SBOM_SCAN_STAGE';

interface NamedStage {
  readonly name: string;
  readonly stage: StageBuilder;
}

/**
 * What a scanner of the target stage gets to see: the result, and as extras the build context and the stages that it was made with,
 * where the arguments say so, as `true` or by the names of stages.
 */
export function scanTargetsOf(
  target: StageBuilder,
  stages: readonly NamedStage[],
  context: ConversionContext,
): ScanTargets {
  const isWanted = (argument: string, { name, stage }: NamedStage): boolean => {
    const own = stage.args.findLast((arg) => arg.name === argument && arg.value !== undefined)?.value;
    const value = own ?? context.globalArgs.get(argument);
    if (value === undefined) return false;
    return parseGoBool(value) ?? value.split(',').includes(name);
  };
  const extras = stages.filter((each) => each.stage !== target && isWanted(scanStage, each));
  const own = stages.find(({ stage }) => stage === target)!;
  return {
    core: target.state,
    extras: new Map([
      ...(isWanted(scanContext, own) ? [['context', context.buildContext] as const] : []),
      ...extras.map(({ name, stage }) => [name, stage.state] as const),
    ]),
    ignoreCache: target.noCache || extras.some(({ stage }) => stage.noCache),
  };
}
