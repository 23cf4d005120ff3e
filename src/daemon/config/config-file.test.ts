import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readConfig } from './config-file.ts';
import { type DaemonConfig, defaultConfig } from './daemon-config.ts';

describe('a configuration file', () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'kiln-config-'));
  });
  after(() => rmSync(directory, { recursive: true }));

  const read = async (text: string): Promise<DaemonConfig> => {
    const file = path.join(directory, 'kilnd.toml');
    writeFileSync(file, text);
    return (await readConfig({ files: [file], named: true })).config;
  };

  test('changes what it names, whatever tables it has', async () => {
    const top = 'root = "/srv/kiln"\ninsecure-entitlements = ["network.host"]\n';
    for (const tables of ['', '[grpc]\naddress = ["unix:///run/k.sock"]\n', '[worker.oci]\ngc = false\n']) {
      const { root, entitlements } = await read(top + tables);
      assert.equal(root, '/srv/kiln');
      assert.deepEqual(entitlements, ['network.host']);
    }
  });

  test('says where files about devices are, and which devices need not be allowed', async () => {
    const { devices } = await read('[cdi]\nspecDirs = ["/a", "/b"]\nautoAllowed = ["a.com/x"]\n');
    assert.deepEqual(devices, { enabled: true, directories: ['/a', '/b'], autoAllowed: ['a.com/x'] });
    const off = await read('[cdi]\ndisabled = true\nspecDirs = []\n');
    assert.deepEqual(off.devices, { ...defaultConfig.devices, enabled: false });
  });

  test('says how many blobs of a registry are transferred at a time', async () => {
    const { registryConcurrency } = await read('[system]\nmaxRegistryConcurrency = 7\n');
    assert.equal(registryConcurrency, 7);
    await assert.rejects(read('[system]\nmaxRegistryConcurrency = 0\n'), {
      code: 'invalid_argument',
      message: /maxRegistryConcurrency must be greater than zero; set to 0$/,
    });
  });

  test('says which network steps have', async () => {
    const text = [
      '[worker.oci]',
      'networkMode = "bridge"',
      'cniConfigPath = "/c"',
      'cniBinaryPath = "/b"',
      'cniPoolSize = 16',
      'bridgeName = "kiln1"',
      'bridgeSubnet = "10.1.0.0/24"',
    ];
    const { worker } = await read(text.join('\n'));
    assert.deepEqual(worker.network, {
      mode: 'bridge',
      cni: { configFile: '/c', programs: '/b' },
      poolSize: 16,
      bridge: { name: 'kiln1', subnet: '10.1.0.0/24' },
    });
    assert.deepEqual((await read('[worker.oci]\n')).worker.network, defaultConfig.worker.network);
    for (const wrong of ['bridgeName = "../x"', 'bridgeName = "sixteen-letters-"', 'networkMode = "all"']) {
      await assert.rejects(read(`[worker.oci]\n${wrong}\n`), { code: 'invalid_argument' });
    }
  });

  test('leaves alone what it does not name', async () => {
    assert.deepEqual(await read(''), { ...defaultConfig, dns: undefined });
  });
});
