/** Flags of mount(2), by their kernel names without the `MS_`. */
export const mountFlags = {
  rdonly: 0x1,
  nosuid: 0x2,
  nodev: 0x4,
  noexec: 0x8,
  remount: 0x20,
  bind: 0x1000,
  rec: 0x4000,
  private: 0x40000,
  slave: 0x80000,
} as const;
