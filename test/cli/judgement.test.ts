import assert from 'node:assert/strict'
import test from 'node:test'
import { exitCodes, judge, type Verdict } from '../../src/cli/judgement.ts'
import { ago, healthyReport, nowMs } from './healthy-report.ts'

type Report = ReturnType<typeof healthyReport>

const alert = { subject: 'uploads', text: 'a file has been waiting', since: ago(120), isTold: true }

const cases: [string, (report: Report) => object, Verdict, RegExp?][] = [
  ['all is well', () => ({}), 'ok'],
  [
    'a camera that only starts is no problem yet',
    (report) => onCamera(report, { state: 'starting', since: ago(20) }),
    'ok',
  ],
  [
    'a camera that starts for too long is a problem',
    (report) => onCamera(report, { state: 'starting', since: ago(50) }),
    'degraded',
    /^Front is not recording: no answer for 50 s$/,
  ],
  [
    'a camera that fails is a problem even while it starts again',
    (report) => onCamera(report, { state: 'starting', since: ago(1), problem: 'wrong password' }),
    'degraded',
    /^Front is not recording: wrong password$/,
  ],
  [
    'a store that fails is a problem',
    (report) =>
      onUploader(report, { store: { state: 'failing', since: ago(9), problem: 'no bucket x' } }),
    'degraded',
    /^S3: no bucket x$/,
  ],
  [
    'a file that cannot be uploaded is a problem',
    (report) => onUploader(report, { failed: [{ file: 'Front_1.mp4', problem: 'unreadable' }] }),
    'degraded',
    /^1 upload failed: Front_1.mp4: unreadable$/,
  ],
  [
    'a quarantine that holds something is a problem',
    (report) => onUploader(report, { quarantine: 2 }),
    'degraded',
    /^2 files that could not be played lie in quarantine \(\/cam\/data\/quarantine\)$/,
  ],
  [
    'a file that waits is no problem',
    (report) => onUploader(report, { waiting: 1, oldestWaiting: ago(86_400), waitedMs: 600_000 }),
    'ok',
  ],
  [
    'what is wrong with the uploader itself is a problem',
    (report) => onUploader(report, { problems: ['cannot look for finished segments: EIO'] }),
    'degraded',
    /^cannot look for finished segments: EIO$/,
  ],
  [
    'what somebody was told of is a problem until it is over',
    (report) => onUploader(report, { alerts: [alert] }),
    'degraded',
    /^alert since 15:28:45, not over yet: uploads: a file has been waiting$/,
  ],
  [
    'what is wrong, and was not told yet, may be over in a moment',
    (report) => onUploader(report, { alerts: [{ ...alert, isTold: false }] }),
    'ok',
  ],
  [
    'a camera that has fallen silent is a problem',
    (report) => onCamera(report, { footageUntil: ago(9) }),
    'degraded',
    /^Front is not recording: no new video for 9 s$/,
  ],
  [
    'frames that reach the file late are a problem',
    (report) => onCamera(report, { faults: [{ kind: 'picture', text: 'why', isGrave: true }] }),
    'degraded',
    /^Front: frames reach the file late: why$/,
  ],
  [
    'a microphone that is off is none',
    (report) => onCamera(report, { faults: [{ kind: 'sound', text: 'off', isGrave: false }] }),
    'ok',
  ],
  [
    'a disk that is almost full is a problem, and what is done about it is said',
    (report) =>
      onUploader(report, {
        problems: ['free space has fallen below MIN_FREE_DISK_GB: uploaded/ is pruned early'],
      }),
    'degraded',
    /^free space has fallen below MIN_FREE_DISK_GB: uploaded\/ is pruned early$/,
  ],
  [
    'a daemon that nobody would start again is a problem',
    ({ recorder }) => ({ recorder: { ...recorder, keepAlivePid: undefined } }),
    'degraded',
    /nobody would start the recorder again.*start\.sh/,
  ],
  [
    'a daemon that is not running is down',
    ({ uploader }) => ({ uploader: { ...uploader, pid: undefined, keepAlivePid: undefined } }),
    'down',
    /^the uploader is not running: \.\/scripts\/start\.sh$/,
  ],
  [
    'a daemon that is started again and again is down, and its log says why',
    ({ uploader }) => ({ uploader: { ...uploader, pid: undefined } }),
    'down',
    /again and again: its log says why/,
  ],
  [
    'a daemon that has fallen silent is down',
    ({ recorder }) => ({ recorder: { ...recorder, seenAtMs: nowMs - 31_000 } }),
    'down',
    /^the recorder hangs: no sign of life for 31 s/,
  ],
  [
    'a full disk, on which no status can be written, is no daemon that hangs',
    ({ recorder }) => ({
      freeBytes: 0,
      recorder: { ...recorder, status: { ...recorder.status, updatedAt: ago(600) } },
    }),
    'degraded',
    /^the disk is full: nothing can be recorded at \/cam until there is room$/,
  ],
  [
    'a full disk comes before a daemon that can say nothing because of it',
    ({ recorder }) => ({ freeBytes: 0, recorder: { ...recorder, status: undefined } }),
    'down',
    /^the disk is full/,
  ],
  [
    'two daemons that work in different places are a problem',
    ({ recorder }) => ({ recorder: { ...recorder, base: '/mnt/new' } }),
    'degraded',
    /^the recorder works in \/mnt\/new, the uploader in \/cam: \.\/scripts\/restart\.sh$/,
  ],
  [
    'what an earlier process said of itself is not believed',
    ({ recorder }) => ({ recorder: { ...recorder, pid: 999 } }),
    'down',
    /^the recorder has said nothing of itself yet$/,
  ],
  [
    'a clock that stepped back makes no daemon hang',
    ({ recorder }) => ({ recorder: { ...recorder, seenAtMs: nowMs + 3_600_000 } }),
    'ok',
  ],
  [
    'nothing at all running is one problem, not two',
    ({ recorder, uploader }) => ({
      recorder: { ...recorder, pid: undefined, keepAlivePid: undefined },
      uploader: { ...uploader, pid: undefined, keepAlivePid: undefined },
    }),
    'down',
    /^nothing is running: \.\/scripts\/start\.sh$/,
  ],
]

for (const [title, change, verdict, first = /^$/] of cases)
  test(title, () => {
    const report = healthyReport()
    const judged = judge({ ...report, ...change(report) }, nowMs)
    assert.equal(judged.verdict, verdict)
    assert.match(judged.problems[0] ?? '', first)
  })

test('a daemon that is down comes before a camera that fails', () => {
  const report = healthyReport()
  const failing = { ...report, ...onCamera(report, { state: 'waiting', problem: 'refused' }) }
  const uploader = { ...report.uploader, pid: undefined }
  const { problems } = judge({ ...failing, uploader }, nowMs)
  assert.deepEqual(problems, [
    'the uploader is not running: it is started again and again: its log says why',
    'Front is not recording: refused',
  ])
})

test('a camera that is down is said once, although somebody was told of it', () => {
  const report = healthyReport()
  const { recorder } = onCamera(report, { state: 'waiting', problem: 'refused' }) as Report
  const told = { ...alert, subject: 'camera Front', text: 'not recording: refused' }
  const status = { ...recorder.status, alerts: [{ ...told, calmMs: 60_000 }] }
  const { problems } = judge({ ...report, recorder: { ...recorder, status } }, nowMs)
  assert.deepEqual(problems, ['Front is not recording: refused'])
})

test('a disk that is almost full is a problem even while the uploader cannot say so', () => {
  const report = { ...healthyReport(), freeBytes: 5e8 }
  const uploader = { ...report.uploader, pid: undefined }
  const { problems } = judge({ ...report, uploader }, nowMs)
  assert.equal(problems[1], 'the disk is almost full: 500 MB free at /cam')
  assert.deepEqual(judge(report, nowMs).problems, [])
})

test('the exit codes are those that monitoring expects', () => {
  assert.deepEqual(exitCodes, { ok: 0, degraded: 1, down: 2 })
})

function onCamera({ recorder }: Report, change: object): object {
  const [camera] = recorder.status.cameras ?? []
  return {
    recorder: { ...recorder, status: { ...recorder.status, cameras: [{ ...camera, ...change }] } },
  }
}

function onUploader({ uploader }: Report, change: object): object {
  return { uploader: { ...uploader, status: { ...uploader.status, ...change } } }
}
