import assert from 'node:assert/strict'
import test from 'node:test'
import type { InstallationReport } from '../../src/cli/installation-report.ts'
import { judge } from '../../src/cli/judgement.ts'
import { statusText } from '../../src/cli/status-text.ts'
import { ago, healthyReport, nowMs } from './healthy-report.ts'

function textOf(report: InstallationReport): string {
  return statusText(report, judge(report, nowMs), nowMs)
}

test('a healthy installation is told in one line, and then in detail', () => {
  assert.equal(
    textOf(healthyReport()),
    `OK: 1 camera recording, everything finished is in S3

Recorder     PID 101, up 2 h 5 min; kept alive by PID 100
  Front      recording since 13:27:25 (2 h 3 min); h264 1280x720 25 fps, aac
             Front_20250125_153000.mp4, 12.3 MB, growing

Uploader     PID 201, up 2 h 5 min; kept alive by PID 200
  S3         ok since 13:27:25 (2 h 3 min)
  waiting    nothing
  last       15:30:05: recordings/2025/01/25/Front_20250125_152000.mp4 (75.0 MB in 1.2 s)
  uploaded   12 files, 900 MB

Disk         123 GB free at /cam
  quarantine empty
`,
  )
})

test('what is wrong stands in the first lines, and nothing is wider than a terminal', () => {
  const report = healthyReport()
  const problem =
    '10.0.0.5:554 refuses the connection: is RTSP switched on in the camera (Reolink: Network > Advanced > Port), and the port right?'
  const text = textOf({
    ...report,
    recorder: {
      ...report.recorder,
      status: {
        ...report.recorder.status,
        cameras: [
          {
            name: 'Behind_the_garage',
            state: 'waiting',
            since: ago(86_400),
            url: 'rtsp://10.0.0.5:554/main',
            restarts: 7,
            lastEnd: { at: ago(5), reason: problem },
            problem,
          },
        ],
      },
    },
    uploader: {
      ...report.uploader,
      status: {
        ...report.uploader.status,
        store: {
          state: 'failing',
          since: ago(60),
          problem: 'S3 is out of reach',
          nextTryAt: ago(-9),
        },
        waiting: 3,
        waitingBytes: 45e6,
        oldestWaiting: ago(300),
        inFlight: [{ file: 'Front_1.mp4', bytes: 2e6, sentBytes: 1e6, since: ago(4) }],
        quarantine: 1,
      },
    },
  })
  assert.equal(
    text,
    `DEGRADED: Behind_the_garage is not recording: 10.0.0.5:554 refuses the connection: is RTSP
    switched on in the camera (Reolink: Network > Advanced > Port), and the port right?
  also: S3: S3 is out of reach
  also: 1 file that could not be played lies in quarantine (/cam/data/quarantine)

Recorder            PID 101, up 2 h 5 min; kept alive by PID 100
  Behind_the_garage waiting since 2025-01-24 15:30:45 (24 h)
                    10.0.0.5:554 refuses the connection: is RTSP switched on in the camera
                    (Reolink: Network > Advanced > Port), and the port right?
                    restarted 7 times, last failure 15:30:40

Uploader            PID 201, up 2 h 5 min; kept alive by PID 200
  S3                failing since 15:29:45 (60 s): S3 is out of reach; next try 15:30:54
  waiting           3 files, 45.0 MB, oldest from 15:25:45 (5 min)
  in flight         Front_1.mp4, 1.0 MB of 2.0 MB, since 15:30:41 (4 s)
  last              15:30:05: recordings/2025/01/25/Front_20250125_152000.mp4 (75.0 MB in 1.2 s)
  uploaded          12 files, 900 MB

Disk                123 GB free at /cam
  quarantine        1 file
`,
  )
})

test('a camera that has failed once was not restarted yet', () => {
  const { recorder, ...report } = healthyReport()
  const [camera] = recorder.status.cameras ?? []
  assert.ok(camera)
  const failed = { ...camera, restarts: 0, lastEnd: { at: ago(5), reason: 'refused' } }
  const status = { ...recorder.status, cameras: [failed] }
  assert.match(
    textOf({ ...report, recorder: { ...recorder, status } }),
    /\n +last failure 15:30:40: refused\n/,
  )
})

test('a disk that fills up is told with the time that is left', () => {
  const { uploader, ...report } = healthyReport()
  const status = { ...uploader.status, fullInHours: 5.2 }
  assert.match(
    textOf({ ...report, uploader: { ...uploader, status } }),
    /\nDisk {9}123 GB free at \/cam; full in 5 h 12 min at this rate\n/,
  )
})

test('an installation that never ran has nothing more to tell', () => {
  const unseen = { status: undefined, seenAtMs: undefined, base: undefined }
  const stopped = { pid: undefined, keepAlivePid: undefined, ...unseen }
  const report = { envFile: '/cam/.env', base: '/cam', freeBytes: 5e9, segmentSeconds: 600 }
  assert.equal(
    textOf({ ...report, recorder: stopped, uploader: stopped }),
    `DOWN: nothing is running: ./scripts/start.sh

Recorder     not running; not kept alive

Uploader     not running; not kept alive

Disk         5.0 GB free at /cam
`,
  )
})
