import type { BuildResult } from './build-result.ts';
import type { FrontendBuild } from './frontend-build.ts';
import { type Parameters, type ParameterValues, readParameters } from './parameter.ts';

/** Makes what a target is, from its arguments and what can be asked of the build. */
export type TargetFunction<Args> = (args: Args, build: FrontendBuild) => BuildResult | Promise<BuildResult>;

/** A function that says which build arguments it takes. Other targets can call it, with typed arguments. */
export interface Target<Of extends Parameters = Parameters> extends TargetFunction<ParameterValues<Of>> {
  readonly description: string | undefined;
  readonly parameters: Of;
}

/** A target that is described to clients, and whose build arguments are checked before it is called. */
export function target<const Of extends Parameters = Record<never, never>>(
  settings: { readonly description?: string; readonly args?: Of },
  build: TargetFunction<ParameterValues<Of>>,
): Target<Of> {
  const called: TargetFunction<ParameterValues<Of>> = (args, frontendBuild) => build(args, frontendBuild);
  return Object.freeze(
    Object.assign(called, {
      description: settings.description,
      parameters: settings.args ?? ({} as Of),
    }),
  );
}

/** The arguments of an exported function, of what the client gave. Throws `invalid_argument` naming the one that is wrong. */
export function argumentsOf(exported: TargetFunction<never> | Target, { buildArgs }: FrontendBuild): never {
  const args = isTarget(exported)
    ? readParameters(exported.parameters, buildArgs)
    : Object.fromEntries(buildArgs);
  return args as never;
}

export function isTarget(value: unknown): value is Target {
  return typeof value === 'function' && Object.hasOwn(value, 'parameters');
}
