import assert from 'node:assert/strict'
import test from 'node:test'
import type { InstallationReport } from '../../src/cli/installation-report.ts'
import { judge } from '../../src/cli/judgement.ts'
import { statusText } from '../../src/cli/status-text.ts'
import { ago, healthyReport, nowMs } from './healthy-report.ts'

function textOf(report: InstallationReport): string {
  return statusText(report, judge(report, nowMs), { nowMs })
}

test('a healthy installation is told in one line, and then in detail', () => {
  assert.equal(
    textOf(healthyReport()),
    `OK: 1 camera recording, everything finished is in S3

Cameras  state              for  Mbit/s  fps            segment  restarts
Front    recording    2 h 3 min     4.1   25  15:30:00  12.3 MB         0

S3         ok since 13:27:25 (2 h 3 min)
waiting    nothing
today      12 files, 900 MB
last       15:30:05: recordings/2025/01/25/Front_20250125_152000.mp4 (75.0 MB in
           1.2 s)

disk       123 GB free at /cam

recorder   PID 101, up 2 h 5 min, 0.4% CPU, 81.0 MB; kept alive by 100
uploader   PID 201, up 2 h 5 min, 0.4% CPU, 81.0 MB; kept alive by 200
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
            restartsToday: { day: '2025-01-25', count: 7, bytes: 0 },
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
        bytesPerSecond: 250_000,
        quarantine: 1,
      },
    },
  })
  assert.equal(
    text,
    `DEGRADED: Behind_the_garage is not recording: 10.0.0.5:554 refuses the
    connection: is RTSP switched on in the camera (Reolink: Network > Advanced >
    Port), and the port right?
  also: S3: S3 is out of reach
  also: 1 file that could not be played lies in quarantine
    (/cam/data/quarantine)

Cameras         state              for  Mbit/s  fps            segment  restarts
Behind_the_ga…  waiting           24 h       –    –                  –         7
  10.0.0.5:554 refuses the connection: is RTSP switched on in the camera
  (Reolink: Network > Advanced > Port), and the port right?

S3         failing since 15:29:45 (60 s): S3 is out of reach; next try 15:30:54
waiting    3 files, 45.0 MB, oldest from 15:25:45 (5 min)
in flight  [##########..........]  50% of 2.0 MB  Front_1.mp4
today      12 files, 900 MB; 0.3 MB/s now
last       15:30:05: recordings/2025/01/25/Front_20250125_152000.mp4 (75.0 MB in
           1.2 s)

disk       123 GB free at /cam; 1 file in quarantine

recorder   PID 101, up 2 h 5 min, 0.4% CPU, 81.0 MB; kept alive by 100
uploader   PID 201, up 2 h 5 min, 0.4% CPU, 81.0 MB; kept alive by 200
`,
  )
  assert.ok(text.split('\n').every((line) => line.length <= 80))
})

test('the longest names make no line wider than a terminal', () => {
  const { recorder, uploader, ...report } = healthyReport()
  const name = 'Behind_the_garage_and_the_old_apple_tree_towards_the_street_corner'
  const [camera] = recorder.status.cameras ?? []
  assert.ok(camera)
  const cameras = [{ ...camera, name, footageUntil: ago(20) }]
  const file = `${name}_20250125_152000.mp4`
  const status = {
    ...uploader.status,
    inFlight: [{ file, bytes: 2e6, sentBytes: 1e6, since: ago(4) }],
    failed: [{ file, problem: 'unreadable', nextTryAt: ago(-60) }],
    quarantine: 1,
  }
  const text = textOf({
    ...{ ...report, base: `/srv/${'a_rather_long_folder/'.repeat(6)}` },
    recorder: { ...recorder, status: { ...recorder.status, cameras } },
    uploader: { ...uploader, status },
  })
  assert.match(text, /^DEGRADED: .* is\n {4}not recording: no new video for 20 s\n/)
  assert.match(text.replaceAll(/\n +/g, ''), new RegExp(`${file}: unreadable; next try 15:31:45`))
  assert.ok(
    text.split('\n').every((line) => line.length <= 80),
    text,
  )
})

test('a camera that records again says what the last restart was for, and one that stalls says so', () => {
  const { recorder, ...report } = healthyReport()
  const [camera] = recorder.status.cameras ?? []
  assert.ok(camera)
  const restartsToday = { day: '2025-01-25', count: 2, bytes: 0 }
  const again = { ...camera, restartsToday, lastEnd: { at: ago(60), reason: 'refused' } }
  const stalled = { ...camera, name: 'Side', footageUntil: ago(9) }
  const status = { ...recorder.status, cameras: [again, stalled] }
  assert.match(
    textOf({ ...report, recorder: { ...recorder, status } }),
    /\nFront .* 2\n {2}last restart after 15:29:45: refused\nSide +stalled /,
  )
})

test('where what is recorded is not what the camera sends, its line says so', () => {
  const { recorder, ...report } = healthyReport()
  const cameras = (recorder.status.cameras ?? []).map((camera) => ({
    ...camera,
    faults: [{ kind: 'sound' as const, text: 'is its microphone off?', isGrave: false }],
  }))
  assert.match(
    textOf({ ...report, recorder: { ...recorder, status: { ...recorder.status, cameras } } }),
    /^OK: .*\n {2}recorded without sound: is its microphone off\?\n/s,
  )
})

test('on a terminal, what is well and what is not can be told by colour', () => {
  const report = healthyReport()
  const paint = (text: string, as: string): string => `<${as}>${text}</>`
  const text = statusText(report, judge(report, nowMs), { nowMs, paint })
  assert.match(text, /^<good>OK<\/>: 1 camera/)
  assert.match(text, /\nFront +<good>recording <\/>   2 h 3 min/)
})

test('a disk that fills up is told with the time that is left', () => {
  const { uploader, ...report } = healthyReport()
  const status = { ...uploader.status, fullInHours: 5.2 }
  assert.match(
    textOf({ ...report, uploader: { ...uploader, status } }),
    /\ndisk {7}123 GB free at \/cam; full in 5 h 12 min at this rate\n/,
  )
})

test('an installation that never ran has nothing more to tell', () => {
  const unseen = { status: undefined, seenAtMs: undefined, base: undefined }
  const stopped = { pid: undefined, keepAlivePid: undefined, ...unseen }
  const report = { envFile: '/cam/.env', base: '/cam', freeBytes: 5e9 }
  assert.equal(
    textOf({ ...report, recorder: stopped, uploader: stopped }),
    `DOWN: nothing is running: ./scripts/start.sh

disk       5.0 GB free at /cam

recorder   not running; not kept alive
uploader   not running; not kept alive
`,
  )
})
