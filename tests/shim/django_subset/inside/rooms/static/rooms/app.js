console.log("é")
