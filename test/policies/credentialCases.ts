import type { RuleCases } from "./case.ts";
import { propsChanged, soundEstate } from "./estateFixture.ts";
import { unknown } from "./runRule.ts";

// Built here, so that no file of the project holds a text that looks like a credential.
const fake = {
  proxmox: `root@pam!hive=${"0f".repeat(4)}-1234-4abc-8def-${"ab".repeat(6)}`,
  github: `ghp_${"aB3".repeat(12)}`,
  pem: ["-----BEGIN OPENSSH ", "PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH ", "PRIVATE KEY-----"].join(""),
  password: "hunter22x",
};
const snippet = (data: unknown) => ({
  type: "proxmoxve:index/fileLegacy:FileLegacy",
  name: "user-data",
  props: { nodeName: "pve", sourceRaw: { fileName: "user-data.yaml", data } },
});

/** Fixtures of the rules about credentials. */
export const credentialCases: RuleCases = {
  "credential-input": [
    {
      title: "no credential",
      resources: [...soundEstate, snippet("#cloud-config\npackages: [qemu-guest-agent]\n")],
      violations: [],
    },
    {
      title: "a key in user data",
      resources: [snippet(`write_files:\n- content: |\n    ${fake.pem}`)],
      violations: [/private key in sourceRaw\.data \(value not shown\)/],
    },
    {
      title: "a password in user data",
      resources: [snippet("chpasswd:\n  password: hunter22\n")],
      violations: [/holds a password in sourceRaw\.data/],
    },
    {
      title: "a token in an argument",
      resources: propsChanged("brain-root-command", { create: `curl -H "Authorization: PVEAPIToken=${fake.proxmox}"` }),
      violations: [/Proxmox API token in create/],
    },
    {
      title: "a token in an environment",
      resources: propsChanged("brain-root-command", { environment: { TOKEN: fake.github } }),
      violations: [/GitHub token in environment\.TOKEN/],
    },
    {
      title: "passwords told by the names of an environment",
      resources: propsChanged("brain-root-command", {
        environment: { POSTGRES_PASSWORD: fake.password, password: fake.password, DB_HOST: "db" },
      }),
      violations: [/holds a password in environment\.POSTGRES_PASSWORD/, /holds a password in environment\.password/],
    },
    {
      title: "passwords told by a list of names and values",
      resources: propsChanged("brain-root-command", {
        env: [
          { name: "DB_PASSWORD", value: fake.password },
          { name: "DB_HOST", value: "database" },
        ],
        environment: [`DB_PASSWORD=${fake.password}`],
      }),
      violations: [/holds a password in env\[0\]\.value/, /holds a password in environment\[0\]/],
    },
    {
      title: "a token under a name that tells a password is found once",
      resources: propsChanged("brain-root-command", { environment: { ACCESS_TOKEN: fake.github } }),
      violations: [/GitHub token in environment\.ACCESS_TOKEN/],
    },
    {
      title: "names of passwords without one",
      resources: propsChanged("brain-root-command", {
        environment: {
          POSTGRES_PASSWORD: "${POSTGRES_PASSWORD}",
          POSTGRES_PASSWORD_FILE: "/run/secrets/postgres",
          password: unknown.text,
          passwords: [],
          PGPASSWORD: "",
        },
      }),
      violations: [],
    },
    {
      title: "a token as a property's name",
      resources: propsChanged("brain-root-command", { environment: { [fake.github]: "x" } }),
      violations: [/GitHub token in environment\.\[name hidden\]/],
    },
    {
      title: "places made for secrets",
      resources: [
        ...propsChanged("brain-root-command", {
          connection: { host: "pve", privateKey: fake.pem },
          stdin: fake.github,
        }),
        { type: "pulumi:providers:proxmoxve", name: "pve", props: { apiToken: fake.proxmox } },
      ],
      violations: [],
    },
    {
      title: "types exempt by configuration",
      resources: [snippet("password: hunter22\n")],
      config: { exemptTypes: ["other:*", "proxmoxve:index/fileLegacy:FileLegacy"] },
      violations: [],
    },
    {
      title: "an exemption by configuration",
      resources: [snippet("password: hunter22\n")],
      config: { exemptPaths: ["sourceRaw.*"] },
      violations: [],
    },
    { title: "unknown user data", resources: [snippet(unknown.text)], violations: [] },
  ],
  "credential-output": [
    { title: "no credential", resources: soundEstate, violations: [] },
    {
      title: "in the stack's outputs",
      resources: [{ type: "pulumi:pulumi:Stack", name: "hive-test", props: { deep: [{ token: fake.github }] } }],
      violations: [/Output deep\[0\]\.token of hive-test holds a GitHub token \(value not shown\)/],
    },
    {
      title: "in what a command printed",
      resources: propsChanged("brain-root-command", { stdout: fake.pem }),
      violations: [/Output stdout .* private key/],
    },
    {
      title: "in a component's outputs",
      resources: propsChanged("brain", { url: "https://root:hunter22@pve:8006/" }),
      violations: [/Output url of brain holds a password in a URL/],
    },
    {
      title: "unknown output",
      resources: propsChanged("brain-root-command", { stdout: unknown.text }),
      violations: [],
    },
  ],
};
