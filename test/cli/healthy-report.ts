import type { InstallationReport } from '../../src/cli/installation-report.ts'

/** The moment of the reports below, in whatever zone the test runs. */
export const nowMs = new Date(2025, 0, 25, 15, 30, 45).getTime()

export function ago(seconds: number): string {
  return new Date(nowMs - seconds * 1000).toISOString()
}

/** An installation with one camera, where all is well. */
export function healthyReport(): InstallationReport & {
  recorder: { status: object }
  uploader: { status: object }
} {
  const header = { startedAt: ago(7500), updatedAt: ago(1), cpuPercent: 0.4, rssBytes: 81e6 }
  return {
    envFile: '/cam/.env',
    base: '/cam',
    freeBytes: 123.4e9,
    recorder: {
      pid: 101,
      keepAlivePid: 100,
      seenAtMs: nowMs - 1000,
      base: '/cam',
      status: {
        ...header,
        daemon: 'recorder',
        pid: 101,
        watch: 'lsof',
        cameras: [
          {
            name: 'Front',
            state: 'recording',
            since: ago(7400),
            url: 'rtsp://10.0.0.5:554/main',
            file: 'Front_20250125_153000.mp4',
            bytes: 12_345_678,
            growing: true,
            stream: { video: 'h264', width: 1280, height: 720, audio: 'aac' },
            bitsPerSecond: 4.12e6,
            fps: 25,
            restarts: 0,
            restartsToday: { day: '2025-01-25', count: 0, bytes: 0 },
          },
        ],
      },
    },
    uploader: {
      pid: 201,
      keepAlivePid: 200,
      seenAtMs: nowMs - 1000,
      base: '/cam',
      status: {
        ...header,
        daemon: 'uploader',
        pid: 201,
        store: { state: 'ok', since: ago(7400) },
        waiting: 0,
        waitingBytes: 0,
        inFlight: [],
        failed: [],
        problems: [],
        lastUpload: {
          file: 'Front_20250125_152000.mp4',
          key: 'recordings/2025/01/25/Front_20250125_152000.mp4',
          at: ago(40),
          seconds: 1.24,
          bytes: 75e6,
        },
        uploadedToday: { day: '2025-01-25', count: 12, bytes: 900e6 },
        bytesPerSecond: 0,
        quarantine: 0,
        freeBytes: 123.4e9,
        minFreeBytes: 2e9,
      },
    },
  }
}
