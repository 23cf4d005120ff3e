import { PolicyAction } from '../api/gen/policy_pb.js';
import { PolicyVerifier } from '../api/gen/session_policy_pb.js';
import { platformFromMessage, platformToMessage } from '../api/platform-message.ts';
import { methodPath, unaryHandler } from '../api/unary-call.ts';
import { KilnError } from '../base/errors.ts';
import { gitMetadataFromMessage } from '../llb/wire/git-metadata-message.ts';
import { checksumQuestionToMessage, httpMetadataFromMessage } from '../llb/wire/http-metadata-message.ts';
import {
  type SourceCheck,
  type SourceVerdict,
  sourceToMessage,
} from '../session/requests/source-verifier.ts';
import type { Service } from '../session/service-host.ts';

/** Decides about each source of a build before the engine looks at anything of it. */
export type DecideSource = (check: SourceCheck) => SourceVerdict | Promise<SourceVerdict>;

/** Lets the engine ask the client which sources its build may use. */
export function sourcePolicyService(decide: DecideSource): Service {
  return {
    [methodPath(PolicyVerifier.method.checkPolicy)]: unaryHandler(
      PolicyVerifier.method.checkPolicy,
      async ({ platform, source }) => {
        if (!source?.source) throw new KilnError('invalid_argument', 'asked about no source');
        const { identifier, attrs } = source.source;
        const verdict = await decide({
          source: { identifier, attrs },
          platform: platform && platformFromMessage(platform),
          ...(source.image && { image: { digest: source.image.digest, config: source.image.config } }),
          ...(source.http && { http: httpMetadataFromMessage(source.http) }),
          ...(source.git && { git: gitMetadataFromMessage(source.git) }),
        });
        return { result: resultOf(verdict) };
      },
    ),
  };
}

function resultOf(verdict: SourceVerdict) {
  switch (verdict.kind) {
    case 'allow':
      return { case: 'decision', value: { action: PolicyAction.ALLOW } } as const;
    case 'deny': {
      const denyMessages = verdict.messages.map((message) => ({ message }));
      return { case: 'decision', value: { action: PolicyAction.DENY, denyMessages } } as const;
    }
    case 'convert': {
      const update = sourceToMessage(verdict.source);
      return { case: 'decision', value: { action: PolicyAction.CONVERT, update } } as const;
    }
    case 'resolve': {
      const { source, platform, resolveMode, logName = '', noConfig, checksum, gitObjects } = verdict.request;
      const value = {
        source: sourceToMessage(source),
        platform: platform && platformToMessage(platform),
        resolveMode,
        logName,
        image: { noConfig },
        http: checksum && { checksum: checksumQuestionToMessage(checksum) },
        git: gitObjects ? { returnObject: true } : undefined,
      };
      return { case: 'request', value } as const;
    }
  }
}
