import { ownValue } from '../../base/own-value.ts';
import type { Platform } from '../../base/platform.ts';
import type { Bridge, FrontendResult, SolvedRef } from '../../frontend/frontend.ts';
import type { ResultAttestation } from '../../frontend/result-attestation.ts';
import { type SbomRequest, sbomRequest } from '../../frontend/sbom-request.ts';
import { SbomScanner, sbomAttestation } from '../../frontend/sbom-scanner.ts';
import { State, toGraph } from '../../llb/llb.ts';
import { spdxPredicateType } from '../../oci/in-toto.ts';
import { parseResolveMode } from '../../source/image/image-source.ts';
import { resultPlatforms } from './result-platforms.ts';

/** How the results of a build are scanned that no frontend scanned. */
export interface ScanRequest extends SbomRequest {
  readonly resolveMode: 'default' | 'pull' | 'local';
  /** Whether to scan again whatever is cached. */
  readonly ignoreCache: boolean;
}

/** The scan that the options of a request ask for; undefined for none. Throws `invalid_argument`. */
export function scanRequest(options: Readonly<Record<string, string>>): ScanRequest | undefined {
  const request = sbomRequest(options);
  return (
    request && {
      ...request,
      resolveMode: parseResolveMode(ownValue(options, 'image-resolve-mode')),
      ignoreCache: ownValue(options, 'no-cache') === '',
    }
  );
}

/** The result with an SBOM of each of its trees, unless whoever made it attached one: a frontend knows better what to scan. */
export async function scannedResult(
  result: FrontendResult,
  request: ScanRequest | undefined,
  bridge: Pick<Bridge, 'resolveImageConfig' | 'solve'>,
  platform: Platform,
): Promise<FrontendResult> {
  const given = result.attestations ?? new Map<string, readonly ResultAttestation<SolvedRef>[]>();
  const hasSbom = [...given.values()].flat().some(({ predicateType }) => predicateType === spdxPredicateType);
  if (!request || hasSbom) return result;
  const trees = resultPlatforms(result, platform).flatMap(({ id, ref, attestations }) =>
    ref?.graph?.result ? [{ id, graph: ref.graph, output: ref.graph.result, attestations }] : [],
  );
  if (trees.length === 0) return result;
  const scanner = await SbomScanner.open(request, bridge, { platform, resolveMode: request.resolveMode });
  const scanned = await Promise.all(
    trees.map(async ({ id, graph, output, attestations }) => {
      const core = State.of({ kind: 'graph', graph, result: output });
      const scan = scanner.scan(id, { core, extras: new Map(), ignoreCache: request.ignoreCache });
      const { refs } = await bridge.solve({ graph: toGraph(scan, { platform }) });
      return [id, [...attestations, sbomAttestation(refs.get(''))]] as const;
    }),
  );
  return { ...result, attestations: new Map([...given, ...scanned]) };
}
