import assert from "node:assert/strict";
import fc from "fast-check";
import { credentialKinds, findCredentials, redactCredentials } from "../../components/shared/credentials.ts";
import { samples } from "./credentialSamples.ts";

describe("credential patterns", () => {
  for (const { kind, text, secret } of samples) {
    it(`tells a ${kind} and hides it`, () => {
      assert.deepEqual(credentialKinds(`before ${text} after`), [kind]);
      const hidden = redactCredentials(`before ${text} after`);
      assert.ok(!hidden.includes(secret), hidden);
      assert.match(hidden, /^before .*\[secret\].* after$/s);
    });
  }

  for (const text of [
    "https://pve.example:8006/api2/json",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGf1Wj5l0m1m5kq1 admin@hive",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----",
    "local:snippets/brain.yaml",
    "password: $HIVE_PASSWORD",
    "password: ${HIVE_PASSWORD}",
    "passwd: null",
    "lock_passwd: true",
    "ssh_pwauth: false",
    "root@pam!hive",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "HIVE_AFFINITY='1-2,17-18'",
    "DB_PASSWORD=${DB_PASSWORD}",
    "DB_PASSWORD=${DB_PASSWORD:?must be given}",
    'PGPASSWORD="$(cat /run/secrets/db)"',
    "PGPASSWORD=`cat /run/secrets/db`",
    "MYSQL_PASSWORD=%MYSQL_PASSWORD%",
    "POSTGRES_PASSWORD_FILE=/run/secrets/postgres",
    "password: /run/secrets/postgres",
    "wifi_password: !secret wifi_password",
    "db_password: !vault |",
    "password: <your password>",
    "password: {{ lookup }}",
    "password: secret",
    'password: "secret"',
    "password: null, user: x",
    "hive ALL=(ALL) NOPASSWD: /usr/bin/systemctl",
    "cat: /etc/passwd: forbidden",
    "echo root:$PASSWORD | chpasswd",
    "chpasswd: { expire: false }",
    "curl -u admin:$PASSWORD https://pve.example/",
    "curl -u admin https://pve.example:8006/",
    "docker login -u hive --password-stdin registry.example",
    "adduser --disabled-password --gecos '' hive",
    "adduser --disabled-password administrator",
    "tool --password PASSWORD --user NAME",
    "mysql -p shop",
    "mkdir -p /srv/data && mysql shop",
    "PWD=/root/project OLDPWD=/root/project",
  ]) {
    it(`takes ${JSON.stringify(text.slice(0, 40))} for no credential`, () => {
      assert.deepEqual(findCredentials(text), []);
    });
  }

  it("hides every credential of any text, and nothing of what is around it", () => {
    const part = fc.oneof(
      fc.constantFrom(...samples).map((sample) => ({ text: sample.text, secret: sample.secret })),
      fc.stringMatching(/^[a-z ]{0,20}$/).map((text) => ({ text, secret: undefined })),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const hidden = redactCredentials(parts.map((p) => p.text).join("\n"));
        for (const { text, secret } of parts) {
          if (secret !== undefined) assert.ok(!hidden.includes(secret));
          else assert.ok(hidden.includes(text));
        }
      }),
    );
  });

  it("finds in order, apart, inside the text, and leaves nothing to find", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...samples.map((s) => s.text)))),
        (parts) => {
          const text = parts.join(" ");
          let from = 0;
          for (const { start, end } of findCredentials(text)) {
            assert.ok(start >= from && end > start && end <= text.length);
            from = end;
          }
        },
      ),
    );
  });

  it("hides all that follows the beginning of a private key without an end", () => {
    const begin = ["-----BEGIN EC ", "PRIVATE KEY-----"].join("");
    assert.equal(redactCredentials(`key: ${begin}\nMHcCAQEE`), "key: [secret]");
  });

  it("ends soon on hostile texts", function () {
    this.timeout(30_000);
    const starts = [
      "-----BEGIN PRIVATE KEY-----",
      "eyJ",
      "eyJaaaaaaaaaa.",
      "a@",
      "password:",
      "https://a:",
      "$6$",
      "aws_secret_key=",
      "-",
      "PVE:",
      "a",
      "A_",
      "a:",
      "PASSWORD_",
      "DB_PASSWORD=",
      "password \t",
      "--password ",
      "--a-",
      "curl ",
      "curl -u",
      "curl -u a:",
      "mysql ",
      "mysql -p",
      "chpasswd<<<",
      "a: | ",
      "a:a | sudo -s ",
    ];
    for (const start of starts) {
      const begun = performance.now();
      findCredentials(start.repeat(Math.ceil(300_000 / start.length)));
      const tookMs = performance.now() - begun;
      assert.ok(tookMs < 8000, `${JSON.stringify(start)}: ${tookMs.toFixed(0)} ms`);
    }
  });
});
