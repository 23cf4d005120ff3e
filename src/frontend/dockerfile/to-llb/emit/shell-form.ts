import type { GrowingImage } from './growing-image.ts';

/** The command that runs `text` in the image's shell. */
export function withShell(image: Pick<GrowingImage, 'config' | 'platform'>, text: string): readonly string[] {
  const { Shell } = image.config;
  if (Shell?.length) return [...Shell, text];
  return image.platform.os === 'windows' ? ['cmd', '/S', '/C', text] : ['/bin/sh', '-c', text];
}
