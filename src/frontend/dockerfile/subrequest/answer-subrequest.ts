import { asKilnError, KilnError } from '../../../base/errors.ts';
import type { FrontendResult } from '../../frontend.ts';
import type { DockerfileSource } from '../dockerfile-error.ts';
import type { LintFinding, LintSettings } from '../lint/linter.ts';
import { parseChecked } from '../lint/parse-checked.ts';
import type { Dockerfile } from '../parse/instruction-tree.ts';
import { parseDockerfile } from '../parse/parse-dockerfile.ts';
import { type ConversionRequest, checkDockerfile, outlineDockerfile } from '../to-llb/convert-dockerfile.ts';
import { answerResult } from './answer.ts';
import { describeSubrequests } from './describe.ts';
import { lintReport } from './lint-report.ts';
import { outline } from './outline.ts';
import { subrequests } from './subrequest.ts';
import { listTargets } from './targets.ts';

/** How a file is converted, telling `onFinding` what is wrong with it. */
export type ConversionOf = (
  dockerfile: Dockerfile,
  onFinding: (finding: LintFinding) => void,
) => ConversionRequest;

/**
 * Answers a question about a Dockerfile instead of building it. `warn` gets the findings about the file, unless they are the
 * answer. Throws `unimplemented` for an unknown question.
 */
export async function answerSubrequest(
  name: string,
  source: DockerfileSource,
  lint: LintSettings | undefined,
  conversionOf: ConversionOf,
  warn: (finding: LintFinding) => void,
): Promise<FrontendResult> {
  switch (name) {
    case subrequests.describe.name:
      return answerResult(subrequests.describe, describeSubrequests());
    case subrequests.targets.name:
      return answerResult(subrequests.targets, listTargets(parseDockerfile(source)));
    case subrequests.outline.name: {
      const input = await outlineDockerfile(conversionOf(parseChecked(source, lint, warn), warn));
      return answerResult(subrequests.outline, outline(input));
    }
    case subrequests.lint.name: {
      const findings: LintFinding[] = [];
      const onFinding = (finding: LintFinding) => findings.push(finding);
      const failure = await failureOf(async () =>
        checkDockerfile(conversionOf(parseChecked(source, lint, onFinding), onFinding)),
      );
      return answerResult(subrequests.lint, lintReport(source, findings, failure));
    }
    default:
      throw new KilnError('unimplemented', `unsupported request ${name}`, {
        hint: `this frontend answers ${Object.values(subrequests)
          .map((each) => each.name)
          .join(', ')}`,
        details: [{ kind: 'subrequest', name }],
      });
  }
}

/** Why `work` fails; a cancellation is no verdict, and is thrown. */
async function failureOf(work: () => Promise<void>): Promise<KilnError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    const failure = asKilnError(error);
    if (failure.code === 'canceled') throw failure;
    return failure;
  }
}
