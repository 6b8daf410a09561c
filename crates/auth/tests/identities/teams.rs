//! Teams and their members.

use serde_json::json;

use crate::platform::{ADMIN, As, PASSWORD, Platform};

#[actix_web::test]
async fn the_first_team_is_home_and_another_one_takes_its_place() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let admin = As::Token(ADMIN);
    platform.user("ana").await;
    for team in ["risk", "fraud"] {
        here.post("/teams", admin, json!({"name": team})).await.expect(201);
        let path = format!("/teams/{team}/members/user:ana");
        assert_eq!(here.put(&path, admin, json!({})).await.expect(200)["changed"], true);
        assert_eq!(here.put(&path, admin, json!({})).await.expect(200)["changed"], false);
    }
    let me = async || here.get("/me", As::User("ana", PASSWORD)).await.expect(200);
    assert_eq!(
        (&me().await["teams"], &me().await["home_team"]),
        (&json!(["fraud", "risk"]), &json!("risk"))
    );
    here.patch("/users/ana", admin, json!({"home_team": "fraud"})).await.expect(200);
    assert_eq!(me().await["home_team"], "fraud");
    let gone = here.delete("/teams/fraud/members/user:ana", admin).await.expect(200);
    assert_eq!(gone["changed"], true);
    assert_eq!(me().await["home_team"], "risk");
    here.delete("/teams/risk/members/user:ana", admin).await.expect(200);
    assert_eq!((&me().await["teams"], &me().await["home_team"]), (&json!([]), &json!(null)));
    let gone = here.delete("/teams/risk/members/user:ana", admin).await.expect(200);
    assert_eq!(gone["changed"], false);
}

#[actix_web::test]
async fn members_are_users_and_services_that_are_there() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let admin = As::Token(ADMIN);
    here.post("/teams", admin, json!({"name": "risk", "display_name": "Credit risk"}))
        .await
        .expect(201);
    here.post("/services", admin, json!({"name": "ci"})).await.expect(201);
    here.put("/teams/risk/members/service:ci", admin, json!({})).await.expect(200);
    let members = here.get("/teams/risk/members", admin).await.expect(200);
    assert_eq!(members["items"][0]["member"], "service:ci");
    assert_eq!(here.get("/teams/risk", admin).await.expect(200)["members"], 1);
    for (member, status) in [("user:nobody", 404), ("team:risk", 400), ("ci", 400), ("user:", 400)]
    {
        let path = format!("/teams/risk/members/{member}");
        here.put(&path, admin, json!({})).await.expect(status);
    }
    here.put("/teams/nowhere/members/service:ci", admin, json!({})).await.expect(404);
    here.get("/teams/nowhere", admin).await.expect(404);
    let changes: Vec<_> = platform.recorded().await.into_iter().map(|event| event.0).collect();
    for change in ["team.created", "grant.added", "team.member-added"] {
        assert_eq!(changes.iter().filter(|found| *found == change).count(), 1, "{change}");
    }
}

#[actix_web::test]
async fn the_last_administrator_does_not_leave_the_team_that_makes_them_one() {
    let platform = Platform::new().await;
    let here = &platform.here;
    let admin = As::Token(ADMIN);
    platform.user("ana").await;
    here.post("/teams", admin, json!({"name": "platform"})).await.expect(201);
    here.put("/teams/platform/members/user:ana", admin, json!({})).await.expect(200);
    platform
        .test
        .execute(
            "UPDATE grants SET subject_id = (SELECT id FROM subjects WHERE name = 'platform')
             WHERE role = 'administrator'",
        )
        .await;
    let said = here.delete("/teams/platform/members/user:ana", admin).await.refusal(409);
    assert!(said.contains("nobody could administer"), "{said}");
    here.put("/teams/platform/members/user:admin", admin, json!({})).await.expect(200);
    here.delete("/teams/platform/members/user:ana", admin).await.expect(200);
}
