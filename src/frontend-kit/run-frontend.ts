import { createFrontend } from './create-frontend.ts';
import type { FrontendDefinition, FrontendFunction } from './frontend-definition.ts';

/**
 * Makes this process a frontend: the program of an image that builds name as their syntax. Answers the one request that a daemon started it for, and ends the
 * process. What it prints with `console` is shown in the build's progress.
 */
export async function runFrontend(frontend: FrontendFunction | FrontendDefinition): Promise<never> {
  const { runFrontendProgram } = await import('../gateway/run-frontend-program.ts');
  return await runFrontendProgram(createFrontend(frontend));
}
