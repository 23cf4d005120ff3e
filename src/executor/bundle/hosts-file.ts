/** The text of a container's `/etc/hosts`: loopback names, its own name, and the extra entries in order. */
export function hostsFile(
  hostname: string,
  extraHosts: readonly { readonly host: string; readonly ip: string }[],
): string {
  const lines = [`127.0.0.1\tlocalhost ${hostname}`, '::1\tlocalhost ip6-localhost ip6-loopback'];
  for (const { host, ip } of extraHosts) lines.push(`${ip}\t${host}`);
  return `${lines.join('\n')}\n`;
}
