/** One timer of snapshots and how many of its snapshots are kept. */
export interface SnapshotSchedule {
  readonly label: "frequent" | "hourly" | "daily" | "weekly";
  /** systemd calendar expression (systemd.time(7)). */
  readonly onCalendar: string;
  /** Snapshots with this label that pruning leaves. */
  readonly keep: number;
}

/**
 * When snapshots are taken (seed 001 §2: redundancy where there are disks for it, else aggressive snapshots). The
 * timers start at different minutes, so that no two meet.
 */
export function planSnapshots(redundant: boolean): readonly SnapshotSchedule[] {
  const [frequent, hourly, daily, weekly] = redundant ? [4, 24, 7, 4] : [12, 48, 14, 8];
  return [
    { label: "frequent", onCalendar: redundant ? "*:00/15" : "*:00/5", keep: frequent },
    { label: "hourly", onCalendar: "*:02", keep: hourly },
    { label: "daily", onCalendar: "*-*-* 00:08", keep: daily },
    { label: "weekly", onCalendar: "Mon *-*-* 00:13", keep: weekly },
  ];
}
