type Json = unknown;

/**
 * What `--metadata-file` holds: the response of the exporters, values that are JSON objects in base64 (descriptors, provenance) as
 * the objects they are.
 */
export function buildMetadata(response: Readonly<Record<string, string>>): Readonly<Record<string, Json>> {
  return Object.fromEntries(
    Object.keys(response)
      .sort()
      .map((key) => [key, decodeObject(response[key]!) ?? response[key]]),
  );
}

function decodeObject(value: string): object | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value) || value.length % 4 !== 0) return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value, 'base64').toString());
    const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
    return isObject && Object.keys(parsed).length > 0 ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** The id that `--iidfile` and `--quiet` tell: the digest of the image's config where there is one image, else of its index. */
export function imageId(response: Readonly<Record<string, string>>): string | undefined {
  return response['containerimage.config.digest'] ?? response['containerimage.digest'];
}
