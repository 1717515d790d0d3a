import assert from 'node:assert/strict'
import test from 'node:test'
import type { InstallationReport } from '../../src/cli/installation-report.ts'
import { isSettled, startedText } from '../../src/cli/started-text.ts'
import { ago, healthyReport, nowMs } from './healthy-report.ts'

function reportWith(cameras: object[], store: object): InstallationReport {
  const report = healthyReport()
  return {
    ...report,
    recorder: { ...report.recorder, status: { ...report.recorder.status, cameras } },
    uploader: { ...report.uploader, status: { ...report.uploader.status, store } },
  } as InstallationReport
}

const stream = { video: 'hevc', width: 2560, height: 1440, audio: undefined }
const recording = { name: 'Front', state: 'recording', stream }
const failed = { name: 'Garage', state: 'starting', problem: 'the password is wrong' }
const starting = { name: 'Yard', state: 'starting' }
const answered = { state: 'ok', since: ago(1) }
const refused = { state: 'failing', since: ago(1), problem: 'no such bucket' }

const settled: [string, InstallationReport, boolean][] = [
  ['all is well', reportWith([recording], answered), true],
  ['a camera and the store have failed', reportWith([recording, failed], refused), true],
  ['a camera has not answered', reportWith([recording, starting], answered), false],
  ['the store has not answered', reportWith([recording], { state: 'unknown' }), false],
  ['a daemon has said nothing yet', { ...healthyReport(), recorder: notUp() }, false],
]

for (const [when, report, expected] of settled)
  test(`start.sh ${expected ? 'waits no longer' : 'waits'} when ${when}`, () =>
    assert.equal(isSettled(report, nowMs), expected))

test('each camera and the store has a row: what it sends, or what is wrong', () => {
  assert.equal(
    startedText(reportWith([recording, failed, starting], refused), nowMs),
    `Front   recording  hevc 2560x1440, no audio
Garage  NOT OK     the password is wrong
Yard    starting   no answer yet; it goes on trying
S3      NOT OK     no such bucket
`,
  )
})

test('a daemon that does not come up has a row of its own', () => {
  assert.equal(
    startedText({ ...healthyReport(), recorder: notUp() }, nowMs),
    `Recorder  not up  it is started again and again; its log says why
S3        ok
`,
  )
})

test('a full disk is the first row', () => {
  const recorder = { ...notUp(), pid: 2 }
  assert.equal(
    startedText({ ...healthyReport(), freeBytes: 0, recorder }, nowMs),
    `Disk      FULL    the disk is full: nothing can be recorded at /cam until there is room
Recorder  not up  it runs, but has said nothing of itself yet
S3        ok
`,
  )
})

function notUp(): InstallationReport['recorder'] {
  return {
    pid: undefined,
    keepAlivePid: 1,
    status: undefined,
    seenAtMs: undefined,
    base: undefined,
  }
}
