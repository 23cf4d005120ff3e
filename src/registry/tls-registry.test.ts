import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { createRegistry } from './http-registry.ts';
import { access, openPushRig, type PushRig, quick } from './push-rig.ts';
import { type RegistryRig, startRegistry } from './registry-rig.ts';

const run = promisify(execFile);

let rig: PushRig;
let secured: RegistryRig;
let ca: string;
let client: { readonly key: string; readonly cert: string };
const cleanUp = new AsyncDisposableStack();

before(async () => {
  rig = cleanUp.use(await openPushRig());
  const at = (name: string) => path.join(rig.directory, name);
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const own = ['req', '-x509', ...ec, '-days', '2', '-subj', '/CN=authority'];
  await run('openssl', [...own, '-keyout', at('ca.key'), '-out', at('ca.pem')]);
  await writeFile(at('server.ext'), 'subjectAltName=IP:127.0.0.1\n');
  await writeFile(at('client.ext'), 'extendedKeyUsage=clientAuth\n');
  for (const name of ['server', 'client']) {
    const subject = ['-subj', `/CN=${name}`, '-keyout', at(`${name}.key`), '-out', at(`${name}.csr`)];
    await run('openssl', ['req', ...ec, ...subject]);
    const signing = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', '2'];
    const files = ['-in', at(`${name}.csr`), '-extfile', at(`${name}.ext`), '-out', at(`${name}.pem`)];
    await run('openssl', ['x509', '-req', ...signing, ...files]);
  }
  ca = at('ca.pem');
  client = { key: at('client.key'), cert: at('client.pem') };
  secured = cleanUp.use(
    await startRegistry({ tls: { cert: at('server.pem'), key: at('server.key'), clientCa: ca } }),
  );
});
after(() => cleanUp.disposeAsync());

test('a registry with an authority of its own that wants a certificate is pushed to and pulled from', async () => {
  const hosts = { [secured.host]: { http: false, ca: [ca], keypair: [client] } };
  const { reference, manifest } = await rig.push(secured.host, 'tls/app:1', undefined, hosts);
  await using registry = createRegistry({ retry: quick, hosts });
  assert.equal((await registry.resolve(reference, access())).digest, manifest.digest);
});

test('a mirror has the authorities and certificates of its own table', async () => {
  const hosts = { [secured.host]: { http: false, ca: [ca], keypair: [client] } };
  const { reference, manifest } = await rig.push(secured.host, 'tls/mirrored:1', undefined, hosts);
  const mirrored = { ...hosts, 'registry.invalid': { mirrors: [secured.host] } };
  await using registry = createRegistry({ retry: quick, hosts: mirrored });
  const elsewhere = { ...reference, domain: 'registry.invalid' };
  assert.equal((await registry.resolve(elsewhere, access())).digest, manifest.digest);
});

test('without the authority, or the certificate, the error says so and names the host', async () => {
  const { reference } = await rig.push(rig.host, 'tls/none:1');
  const elsewhere = { ...reference, domain: secured.host };
  const rejected = async (config: object, message: RegExp) => {
    await using registry = createRegistry({ retry: quick, hosts: { [secured.host]: config } });
    await assert.rejects(registry.resolve(elsewhere, access()), { message });
  };
  await rejected(
    { http: false },
    new RegExp(`cannot reach ${secured.host}: its certificate cannot be trusted`),
  );
  await rejected({ http: false, ca: [ca] }, new RegExp(`${secured.host}.*certificate`));
  await rejected({ http: false, ca: ['/none.pem'] }, /cannot read the TLS file \/none.pem/);
});

test('a registry whose certificate nobody looks at is reached with insecure', async () => {
  const hosts = { [secured.host]: { http: false, insecure: true, keypair: [client] } };
  const { reference, manifest } = await rig.push(secured.host, 'tls/insecure:1', undefined, hosts);
  await using registry = createRegistry({ retry: quick, hosts });
  assert.equal((await registry.resolve(reference, access())).digest, manifest.digest);
});
