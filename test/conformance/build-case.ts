import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { create } from '@bufbuild/protobuf';
import { PolicySchema, type Rule } from '../../src/api/gen/policy_pb.js';
import { asKilnError, type Range } from '../../src/base/errors.ts';
import type { Connection } from '../../src/client/connection.ts';
import { resolveLayoutTag } from '../../src/client/layout-index.ts';
import { solve } from '../../src/client/solve.ts';
import { emptySolve, type SolveRequest } from '../../src/client/solve-request.ts';
import type { ConformanceCase } from './conformance-case.ts';
import { makeTree } from './make-tree.ts';
import type { Outcome } from './outcome.ts';
import { readImageArchive } from './read-image-archive.ts';
import { serveRepository } from './serve-repository.ts';
import { serveTree } from './serve-tree.ts';
import { withoutStepNumber } from './without-step-number.ts';

export interface BuildSetting {
  readonly connection: Connection;
  /** The OCI layout of the image that cases call `base`. */
  readonly baseLayout: string;
  /** Where the case's files are made; removed afterwards. */
  readonly directory: string;
}

/** The trees of a case that are not the client's, and what serves each. */
const servers: ReadonlyMap<string, typeof serveTree> = new Map([
  ['http', serveTree],
  ['git', serveRepository],
]);

/** Builds a case as a client of `connection`. Rejects only when the build cannot even be tried. */
export async function buildCase(of: ConformanceCase, setting: BuildSetting): Promise<Outcome> {
  const { connection, baseLayout, directory } = setting;
  mkdirSync(directory, { recursive: true });
  try {
    const archive = path.join(directory, 'image.tar');
    const digest = await resolveLayoutTag(baseLayout, 'latest');
    const request = requestOf(of, directory, archive, baseLayout, digest);
    await using served = new AsyncDisposableStack();
    const rules: Rule[] = [];
    for (const [name, serve] of servers) {
      const files = of.trees.get(name)?.map((entry) => entry.path);
      if (files) rules.push(served.use(await serve(path.join(directory, 'trees', name), files)).rule);
    }
    const sourcePolicy = rules.length > 0 ? create(PolicySchema, { version: 1n, rules }) : undefined;
    const build = solve(connection, { ...request, sourcePolicy });
    const names = new Map<string, string>();
    const warnings = new Set<string>();
    for await (const status of build.progress) {
      for (const vertex of status.vertexes) names.set(vertex.digest, vertex.name);
      for (const warning of status.warnings) warnings.add(warning.short);
    }
    const sorted = { warnings: [...warnings].sort() };
    try {
      await build.result;
    } catch (error) {
      const { message, details } = asKilnError(error);
      const ranges = details.flatMap((detail) => (detail.kind === 'source' ? detail.ranges : []));
      const lines = new Set(ranges.flatMap(linesOf));
      return {
        result: 'failed',
        message: withoutDigests(message),
        lines: [...lines].sort((a, b) => a - b),
        ...sorted,
      };
    }
    return {
      result: 'built',
      images: readImageArchive(archive, await diffIdsOf(baseLayout, digest)),
      ...sorted,
      steps: [...new Set([...names.values()].map((name) => withoutStepNumber(withoutDigests(name))))].sort(),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function requestOf(
  of: ConformanceCase,
  directory: string,
  archive: string,
  baseLayout: string,
  digest: string,
): SolveRequest {
  const options: Record<string, string> = { 'context:base': `oci-layout://base@${digest}` };
  const locals = new Map<string, string>();
  for (const [name, entries] of of.trees) {
    const root = path.join(directory, 'trees', name);
    makeTree(root, entries);
    if (servers.has(name)) continue;
    locals.set(name, root);
    if (name === 'context') locals.set('dockerfile', root);
    else options[`context:${name}`] = `local:${name}`;
  }
  const secrets = [...of.secrets].map(([id, value], index) => {
    const file = path.join(directory, `secret-${index}`);
    writeFileSync(file, value);
    return { id, kind: 'file' as const, path: file };
  });
  return {
    ...emptySolve,
    source: { kind: 'frontend', frontend: 'dockerfile.v0', options: { ...options, ...of.options } },
    locals,
    layouts: new Map([['base', baseLayout]]),
    secrets,
    entitlements: of.entitlements,
    outputs: [
      {
        kind: 'file',
        exporter: 'oci',
        attributes: of.output,
        destination: { kind: 'path', path: archive },
      },
    ],
  };
}

async function diffIdsOf(layout: string, manifestDigest: string): Promise<ReadonlySet<string>> {
  const blob = (digest: string) =>
    JSON.parse(readFileSync(path.join(layout, 'blobs', digest.replace(':', '/')), 'utf8'));
  const manifest = blob(manifestDigest) as { config: { digest: string } };
  const config = blob(manifest.config.digest) as { rootfs: { diff_ids: string[] } };
  return new Set(config.rootfs.diff_ids);
}

/** Those of the base image and of what depends on it. */
function withoutDigests(text: string): string {
  return text.replaceAll(/sha256:[0-9a-f]{64}/g, 'sha256:…');
}

/** Lines count from 1: a place without a line is none. */
function linesOf({ start, end }: Range): number[] {
  const lines: number[] = [];
  for (let line = Math.max(start.line, 1); line <= end.line; line++) lines.push(line);
  return lines;
}
