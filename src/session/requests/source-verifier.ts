import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ResolveSourceMetaRequest } from '../../api/gen/gateway_pb.js';
import type { SourceOpSchema } from '../../api/gen/ops_pb.js';
import { PolicyAction } from '../../api/gen/policy_pb.js';
import { CheckPolicyRequestSchema, PolicyVerifier } from '../../api/gen/session_policy_pb.js';
import { platformFromMessage, platformToMessage } from '../../api/platform-message.ts';
import { callUnary } from '../../api/unary-call.ts';
import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import { withoutCredentials } from '../../base/secrecy/without-credentials.ts';
import type { SourceOp } from '../../llb/op.ts';
import type {
  AttestationChain,
  AttestationQuestion,
  ChecksumQuestion,
  GitMetadata,
  HttpMetadata,
} from '../../llb/source-metadata.ts';
import {
  attestationChainToMessage,
  attestationQuestionOf,
} from '../../llb/wire/attestation-chain-message.ts';
import { gitMetadataToMessage } from '../../llb/wire/git-metadata-message.ts';
import { checksumQuestionOf, httpMetadataToMessage } from '../../llb/wire/http-metadata-message.ts';
import type { SessionManager } from '../session.ts';

/** What a client is asked about: a source, and what it has wanted to know of it so far. */
export interface SourceCheck {
  readonly source: SourceOp;
  readonly platform: Platform | undefined;
  readonly image?: {
    readonly digest: string;
    readonly config: Uint8Array;
    readonly attestations?: AttestationChain;
  };
  readonly http?: HttpMetadata;
  readonly git?: GitMetadata;
}

export type SourceVerdict =
  | { readonly kind: 'allow' }
  | { readonly kind: 'deny'; readonly messages: readonly string[] }
  | { readonly kind: 'convert'; readonly source: SourceOp }
  /** It wants to know more before it decides. */
  | { readonly kind: 'resolve'; readonly request: SourceQuestion };

export interface SourceQuestion {
  readonly source: SourceOp;
  readonly platform: Platform | undefined;
  /** Empty for the default. */
  readonly resolveMode: string;
  readonly logName: string | undefined;
  /** Whether the digest is enough. */
  readonly noConfig: boolean;
  /** Wanted of a file, besides its digest. */
  readonly checksum?: ChecksumQuestion;
  /** Wanted of a commit, besides its name: the object, and that of its tag. */
  readonly gitObjects?: boolean;
  /** Wanted of an image, besides its digest. */
  readonly attestations?: AttestationQuestion;
}

/** Asks the client whether its build may use a source, and as what. */
export interface SourceVerifier {
  check(sessionId: string, check: SourceCheck, signal: AbortSignal): Promise<SourceVerdict>;
}

export function createSourceVerifier(sessions: SessionManager): SourceVerifier {
  return {
    async check(sessionId, { source, platform, image, http, git }, signal) {
      const session = await sessions.get(sessionId, signal);
      const request = create(CheckPolicyRequestSchema, {
        platform: platform && platformToMessage(platform),
        source: {
          source: sourceToMessage(source),
          image: image && {
            digest: image.digest,
            config: image.config,
            attestationChain: image.attestations && attestationChainToMessage(image.attestations),
          },
          http: http && httpMetadataToMessage(http),
          git: git && gitMetadataToMessage(git),
        },
      });
      const open = session.open.bind(session);
      const { result } = await callUnary(open, PolicyVerifier.method.checkPolicy, request, { signal });
      switch (result.case) {
        case 'request':
          return { kind: 'resolve', request: questionOf(result.value, source) };
        case 'decision': {
          const { action, denyMessages, update } = result.value;
          if (action === PolicyAction.ALLOW) return { kind: 'allow' };
          if (action === PolicyAction.DENY)
            return { kind: 'deny', messages: denyMessages.map(({ message }) => message) };
          if (!update) throw unusable(source, 'it converts the source, but does not say into what');
          return { kind: 'convert', source: { identifier: update.identifier, attrs: update.attrs } };
        }
        case undefined:
          throw unusable(source, 'it has neither a decision nor a question');
      }
    },
  };
}

function questionOf(message: ResolveSourceMetaRequest, source: SourceOp): SourceQuestion {
  return {
    source: message.source ?? source,
    platform: message.platform && platformFromMessage(message.platform),
    resolveMode: message.resolveMode,
    logName: message.logName || undefined,
    noConfig: message.image?.noConfig ?? false,
    checksum: checksumQuestionOf(message.http),
    gitObjects: message.git?.returnObject ?? false,
    attestations: attestationQuestionOf(message.image),
  };
}

export function sourceToMessage({ identifier, attrs }: SourceOp): MessageInitShape<typeof SourceOpSchema> {
  return { identifier, attrs: { ...attrs } };
}

function unusable({ identifier }: SourceOp, why: string): KilnError {
  return new KilnError(
    'internal',
    `the client's policy answers wrongly about ${JSON.stringify(withoutCredentials(identifier))}: ${why}`,
  );
}
