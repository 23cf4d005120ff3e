/** `vendor/class` in its parts; undefined where one is missing. */
export function parseKind(
  kind: string,
): { readonly vendor: string; readonly deviceClass: string } | undefined {
  const [, vendor, deviceClass] = /^([^/]+)\/(.+)$/s.exec(kind) ?? [];
  return vendor === undefined || deviceClass === undefined ? undefined : { vendor, deviceClass };
}

/** What a step asks for: `vendor/class=name`, or without a name. */
export function splitDeviceName(request: string): { readonly kind: string; readonly name: string } {
  const at = request.indexOf('=');
  return at < 0 ? { kind: request, name: '' } : { kind: request.slice(0, at), name: request.slice(at + 1) };
}

/** Whether vendor and class are as the CDI specification wants them. */
export function isKind(kind: string): boolean {
  const part = /^[A-Za-z]([\w.-]*[A-Za-z0-9])?$/;
  const parts = parseKind(kind);
  return parts !== undefined && part.test(parts.vendor) && part.test(parts.deviceClass);
}

/** Whether the CDI specification takes it for the name of a device. */
export function isDeviceName(name: string): boolean {
  return /^[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?$/.test(name);
}
