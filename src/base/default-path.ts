/** The `PATH` of processes and images that name none: on Linux, and for images of every system but Windows. */
export const unixPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The same for processes on Windows. */
const windowsPath = 'c:\\Windows\\System32;c:\\Windows;C:\\Windows\\System32\\WindowsPowerShell\\v1.0';

/** The `PATH` of a process that is given none. */
export function defaultPath({ os }: { readonly os: string }): string {
  return os === 'windows' ? windowsPath : unixPath;
}
