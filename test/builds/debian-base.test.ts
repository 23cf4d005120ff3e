import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { debianBase, readHostApt } from '../rig/debian-base.ts';

test('apt-get installs a real package on a base made by debootstrap, and its program runs in a later stage', async () => {
  const apt = await readHostApt();
  const context = await debianBase(apt);
  const certificates = '/etc/ssl/certs/ca-certificates.crt';
  const hasCertificates = existsSync(certificates);
  // Only how to download is taken over from the host's configuration, not what it runs before and after.
  const dockerfile = `
FROM scratch AS debian
ADD system.tar /
FROM debian AS installed
COPY --from=apt --exclude=apt.conf --exclude=apt.conf.d . /etc/apt/
COPY --from=keyrings . /usr/share/keyrings/
${hasCertificates ? `COPY --from=certificates ${path.basename(certificates)} /etc/ssl/certs/` : ''}
COPY <<"EOF" /etc/apt/apt.conf.d/99host
${apt.configuration}
EOF
RUN --mount=type=cache,target=/var/lib/apt/lists,sharing=locked <<EOF
  set -e
  apt-get update
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends jq
EOF
FROM installed
RUN echo '{"numbers":[1,2,39]}' | jq '.numbers | add' > /sum && dpkg-query -W -f '\${Status}\\n' jq >> /sum
USER nobody
RUN jq --version
`;
  await using daemon = await Daemon.start();
  const sum = await daemon.kiln.textOf(
    'sum',
    context,
    [
      ...['-f', '-', '--build-context', 'apt=/etc/apt', '--build-context', 'keyrings=/usr/share/keyrings'],
      ...(hasCertificates ? ['--build-context', `certificates=${path.dirname(certificates)}`] : []),
    ],
    { input: dockerfile },
  );
  assert.equal(sum, '42\ninstall ok installed\n');
});
