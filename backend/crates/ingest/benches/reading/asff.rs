//! Findings of AWS Security Hub.

use crate::RECORDS;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt::Write;

pub(crate) fn text() -> String {
    let mut text = String::from(r#"{"Findings":["#);
    for n in 0..RECORDS {
        let comma = if n == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"SchemaVersion":"2018-10-08","Id":"arn:aws:securityhub:eu-west-1:1:finding/{n:032x}","ProductArn":"arn:aws:securityhub:eu-west-1::product/example/scanner","GeneratorId":"example-{r}","AwsAccountId":"444455556666","Types":["Software and Configuration Checks/Industry and Regulatory Standards"],"CreatedAt":"2026-08-04T19:00:00.000Z","UpdatedAt":"2026-08-04T19:00:00.000Z","Severity":{{"Label":"LOW","Normalized":29}},"Title":"Storage volume without encryption","Description":"The volume holds data that is not encrypted at rest. Review the data flow and apply the recommended control before release.","Remediation":{{"Recommendation":{{"Text":"Encrypt the volume, add a test, and run the scan again.","Url":"https://rules.example/{r}"}}}},"ProductFields":{{"ProviderName":"Example","RuleId":"SEC-{r:04}"}},"Resources":[{{"Type":"AwsKmsKey","Id":"arn:aws:kms:eu-west-1:444455556666:key/{n:012x}","Partition":"aws","Region":"eu-west-1"}}],"Compliance":{{"Status":"FAILED","RelatedRequirements":["nist-800-53 SI-3","pci-dss-4 8.4.2","soc2 CC6.6"]}},"Workflow":{{"Status":"NEW"}},"RecordState":"ACTIVE"}}"#, r = n % 300).unwrap();
    }
    text.push_str("]}");
    text
}

macro_rules! fields {
    ($(struct $name:ident<'a> { $($field:ident : $kind:ty),+ $(,)? })+) => {
        $(
            #[derive(Deserialize)]
            #[serde(rename_all = "PascalCase")]
            #[allow(dead_code, reason = "parsed and not looked at")]
            struct $name<'a> { $(#[serde(borrow)] $field: $kind),+ }
        )+
    };
}

fields! {
    struct Findings<'a> { findings: Vec<Finding<'a>> }
    struct Finding<'a> {
        id: Cow<'a, str>, product_arn: Cow<'a, str>, generator_id: Cow<'a, str>, types: Vec<Cow<'a, str>>, updated_at: Cow<'a, str>,
        severity: Severity<'a>, title: Cow<'a, str>, description: Cow<'a, str>, remediation: Remediation<'a>,
        product_fields: Product<'a>, resources: Vec<Entity<'a>>, compliance: Compliance<'a>, workflow: Workflow<'a>,
        record_state: Cow<'a, str>,
    }
    struct Severity<'a> { label: Cow<'a, str> }
    struct Remediation<'a> { recommendation: Recommendation<'a> }
    struct Recommendation<'a> { text: Cow<'a, str>, url: Cow<'a, str> }
    struct Product<'a> { rule_id: Cow<'a, str> }
    struct Entity<'a> { r#type: Cow<'a, str>, id: Cow<'a, str> }
    struct Compliance<'a> { status: Cow<'a, str>, related_requirements: Vec<Cow<'a, str>> }
    struct Workflow<'a> { status: Cow<'a, str> }
}

pub(crate) fn limit(text: &str) -> usize {
    let all: Findings<'_> = serde_json::from_slice(text.as_bytes()).unwrap();
    all.findings.len()
}
