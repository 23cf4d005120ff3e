import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parsePlatform } from '../../base/platform.ts';
import { FaultProxy } from '../../registry/fault-proxy-rig.ts';
import { createRegistry } from '../../registry/http-registry.ts';
import { anonymousAuth } from '../../registry/registry.ts';
import { type RegistryRig, startRegistry } from '../../registry/registry-rig.ts';
import { missingFromRepositories } from '../../registry/whole-repositories-rig.ts';
import type { Attestation } from '../attestation.ts';
import { createExportRig, type ExportRig } from '../export-rig.ts';
import { parseImageOptions, settleImageOptions } from './image-options.ts';
import { type WrittenImage, writeImage } from './image-writer.ts';
import { pushImage } from './push-image.ts';

/** At how many points a push is interrupted. */
const interruptions = 20;
/**
 * At least: a question, a beginning and an upload for two layers, two configs, two statements and the config of artifacts; two manifests, two of
 * attestations, and an index.
 */
const requestsOfPush = 26;

let rig: ExportRig;
let registryRig: RegistryRig;
let image: WrittenImage;
const cleanUp = new AsyncDisposableStack();

before(async () => {
  rig = cleanUp.use(await createExportRig());
  registryRig = cleanUp.use(await startRegistry());
  const results = [];
  for (const platform of ['linux/amd64', 'linux/arm64']) {
    const tree = path.join(rig.directory, platform);
    await mkdir(tree, { recursive: true });
    await writeFile(path.join(tree, 'data'), randomBytes(3_000_000));
    const attestations = [attestationOf(platform)];
    results.push(rig.result(tree, { key: platform, platform: parsePlatform(platform), attestations }));
  }
  const input = rig.input(results);
  image = await writeImage(
    input,
    settleImageOptions(parseImageOptions({}), input, 'image'),
    rig,
    rig.context,
  );
});
after(() => cleanUp.disposeAsync());

const attestationOf = (platform: string): Attestation => ({
  kind: 'in-toto',
  reason: undefined,
  sbomCore: undefined,
  inlineOnly: false,
  predicateType: 'https://example.com/v1',
  subjects: [],
  path: 'predicate.json',
  predicate: { kind: 'made', make: async () => Buffer.from(JSON.stringify({ platform })) },
});

test('a push that is interrupted anywhere leaves no manifest whose blobs are missing, and its repetition completes it', async () => {
  for (let turn = 0; turn < interruptions; turn++) {
    const interruption = new AbortController();
    /** Among the requests that a whole push makes, or in the middle of one's body. */
    const at = Math.floor(Math.random() * requestsOfPush);
    const after = Math.random() < 0.5 ? Math.floor(Math.random() * 3_000_000) : undefined;
    await using proxy = await FaultProxy.start(registryRig.host, (incoming, count) => {
      if (count !== at) return undefined;
      if (after === undefined) interruption.abort();
      else {
        let received = 0;
        incoming.on('data', (chunk: Buffer) => {
          received += chunk.length;
          if (received >= after) interruption.abort();
        });
        incoming.once('end', () => interruption.abort());
      }
      return undefined;
    });
    await using registry = createRegistry();
    const services = { ...rig, registry };
    const name = `${proxy.host}/interrupted/${turn}:1`;

    const options = { name, byDigest: false, insecure: false, auth: anonymousAuth, pushedAs: [] };
    const context = { ...rig.context, signal: interruption.signal };
    const said = `turn ${turn}, interrupted at request ${at}, byte ${after ?? 0}`;
    await assert.rejects(pushImage(image, options, services, context), { code: 'canceled' }, said);
    assert.deepEqual(await missingFromRepositories(registryRig.storage), [], said);
    await pushImage(image, options, services, rig.context);
    assert.deepEqual(await missingFromRepositories(registryRig.storage), [], said);
    const resolved = await registry.resolve(
      { domain: proxy.host, path: `interrupted/${turn}`, tag: '1' },
      { signal: rig.context.signal, auth: anonymousAuth },
    );
    assert.equal(resolved.digest, image.root.descriptor.digest);
  }
});
