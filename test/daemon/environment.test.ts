import assert from 'node:assert/strict'
import { chmodSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { permissionWarnings, projectRoot, readEnvironment } from '../../src/daemon/environment.ts'
import { knownVariables } from '../../src/segments/installation.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

test('ENV_FILE names the file, real variables win over it, and an empty one is not set', async (t) => {
  const file = join(await temporaryFolder(t), 'my.env')
  writeFileSync(file, "A=1 # one\nB='2 # two'\nC=\nexport D=4\n")
  const { variables, found } = readEnvironment({ ENV_FILE: file, A: 'real' })
  assert.equal(found, true)
  assert.deepEqual(variables, { A: 'real', B: '2 # two', D: '4', ENV_FILE: file })
})

test('the file that ENV_FILE names must be there, but for the default: real variables may say all', async (t) => {
  const file = join(await temporaryFolder(t), 'my.env')
  assert.equal(readEnvironment({ ENV_FILE: file }).fault?.found, `no ${file}`)
  const standard = join(projectRoot, '.env')
  assert.equal(readEnvironment({ ENV_FILE: standard, A: 'real' }).fault, undefined)
})

test('an installation is named by its real file, whichever link leads to it', async (t) => {
  const folder = await temporaryFolder(t)
  writeFileSync(join(folder, '.env'), '')
  symlinkSync(join(folder, '.env'), join(folder, 'link'))
  const [one, other] = ['.env', 'link'].map((name) =>
    readEnvironment({ ENV_FILE: join(folder, name) }),
  )
  assert.equal(one?.runFolder, other?.runFolder)
  assert.match(one?.runFolder ?? '', /data\/run\/[0-9a-f]{12}$/)
})

test('a file that others can read gets a warning with the command that mends it', async (t) => {
  const file = join(await temporaryFolder(t), '.env')
  writeFileSync(file, '')
  chmodSync(file, 0o644)
  const [warning] = permissionWarnings(readEnvironment({ ENV_FILE: file }))
  assert.match(warning ?? '', new RegExp(`chmod 600 '${file}'`))
  chmodSync(file, 0o600)
  assert.deepEqual(permissionWarnings(readEnvironment({ ENV_FILE: file })), [])
})

test('.env.example holds every variable, each with a comment', () => {
  const text = readFileSync(join(projectRoot, '.env.example'), 'utf8')
  const documented = [...text.matchAll(/^#? ?([A-Z][A-Z0-9_]*)=/gm)].map(([, name = '']) =>
    name.replace(/_\d+_/, '_N_'),
  )
  assert.deepEqual([...new Set(documented)].sort(), [...knownVariables].sort())
})
