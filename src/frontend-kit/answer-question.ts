import { KilnError, type Range } from '../base/errors.ts';
import { answerResult } from '../frontend/dockerfile/subrequest/answer.ts';
import { describeSubrequests } from '../frontend/dockerfile/subrequest/describe.ts';
import { outlineAnswer } from '../frontend/dockerfile/subrequest/outline-answer.ts';
import { subrequests } from '../frontend/dockerfile/subrequest/subrequest.ts';
import { targetsAnswer } from '../frontend/dockerfile/subrequest/targets-answer.ts';
import type { FrontendResult } from '../frontend/frontend.ts';
import type { FrontendBuild } from './frontend-build.ts';
import type { FrontendDefinition } from './frontend-definition.ts';

/** Answers a question about the file instead of building it. Throws `unimplemented` for one that the frontend does not answer. */
export async function answerQuestion(
  name: string,
  { outline, targets }: FrontendDefinition,
  build: FrontendBuild,
): Promise<FrontendResult> {
  const known = [
    ...(outline ? [subrequests.outline] : []),
    ...(targets ? [subrequests.targets] : []),
    subrequests.describe,
  ];
  if (name === subrequests.describe.name) {
    return answerResult(subrequests.describe, describeSubrequests(known));
  }
  if (outline && name === subrequests.outline.name) {
    const { args = [], secrets = [], agents = [], ...target } = await outline(build);
    const data = (await build.file()).source.data;
    return answerResult(
      subrequests.outline,
      outlineAnswer({ ...target, args: args.map(withRange), secrets, agents, data }),
    );
  }
  if (targets && name === subrequests.targets.name) {
    const listed = (await targets(build)).map(({ isDefault = false, ...target }) =>
      withRange({ ...target, isDefault }),
    );
    return answerResult(subrequests.targets, targetsAnswer(listed, (await build.file()).source.data));
  }
  throw new KilnError('unimplemented', `unsupported request ${name}`, {
    hint: `this frontend answers ${known.map((each) => each.name).join(', ')}`,
    details: [{ kind: 'subrequest', name }],
  });
}

function withRange<T extends { readonly line?: number }>(each: T): T & { readonly range?: Range } {
  if (each.line === undefined) return each;
  const place = { line: each.line, character: 0 };
  return { ...each, range: { start: place, end: place } };
}
